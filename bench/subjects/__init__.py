"""Those who are measured: one module each, run in a process of its own, told by one JSON argument."""
