"""Tests that need PyTorch; `make test-torch` runs them."""
