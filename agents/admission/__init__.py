"""How a federation begins, and who comes in, goes, and changes keys."""
