"""Views for people: one view of a run, derived values and formats, and the terminal view."""
