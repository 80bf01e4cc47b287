"""How a ledger's tables came to be, one revision after another (Alembic, without an ini file)."""

HEAD_REVISION = "0001"  # what `upgrade head` leads to; known here so that opening a ledger needs no Alembic

__all__ = ["HEAD_REVISION"]
