"""How a ledger's tables came to be, one revision after another (Alembic, without an ini file)."""

EARLIER_REVISIONS = ("0001", "0002")
HEAD_REVISION = "0003"  # what `upgrade head` leads to; known here so that opening a ledger needs no Alembic

__all__ = ["EARLIER_REVISIONS", "HEAD_REVISION"]
