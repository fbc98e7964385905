"""Figures: one module each, with a function `measure` that returns them."""
