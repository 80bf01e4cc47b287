"""hansa: federated learning over a message broker, with a ledger that says who earned what."""

__version__ = "0.1.0"
__all__ = ["__version__"]
