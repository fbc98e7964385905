"""Spill files: events on disk that do not fit into the publisher's memory."""
