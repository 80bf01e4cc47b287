"""The demos: each a federation on real data, run and explained in a terminal."""
