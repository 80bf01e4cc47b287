"""Paillier over arrays: keys, masks, fixed point, encrypted arrays and their arithmetic. See docs/paillier.md."""
