"""What people look at: one view of a run, derived values and formats, and the terminal view."""
