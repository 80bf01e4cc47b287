"""The `hansa` command. Each group stands in a file of its own."""

from hansa.agents.cli.main import main

__all__ = ["main"]
