"""The contract in Redis: keys, stream IDs, entries, the text rule, schema, scripts and access rules."""
