#!lua flags=allow-oom
-- Records in the index of runs that a run had an event now. The time is the server's: producers may choose any IDs.
--
-- KEYS: runs
-- ARGV: run ID
-- Returns: 1 if the run is new in the index, else 0.
return redis.call('ZADD', KEYS[1], 'GT', now_ms(), ARGV[1])
