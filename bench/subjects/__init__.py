"""Measured subjects: one module each, run in a separate process with one JSON argument."""
