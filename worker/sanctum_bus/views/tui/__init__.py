"""The terminal view: pure functions from a snapshot to what rich can print, and one driver that keeps it fresh."""
