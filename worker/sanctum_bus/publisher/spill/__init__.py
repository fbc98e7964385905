"""Spill files: events that do not fit into the publisher's buffer."""
