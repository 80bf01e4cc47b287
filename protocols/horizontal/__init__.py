"""Horizontal learning: the parties hold different rows of the same columns."""
