"""One module per family of event types: what an event of that family does to the state."""
