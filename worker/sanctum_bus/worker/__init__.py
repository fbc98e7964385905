"""The worker: finds runs, and reads, folds and commits the runs it owns."""
