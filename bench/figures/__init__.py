"""The figures: one module each, with one function `measure` that returns them."""
