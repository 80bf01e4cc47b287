"""A regression without trouble, told by somebody who sees everything and holds the key."""

from hansa.protocols.model import Array, FloatArray
from hansa.protocols.vertical.rehearsal import rehearse
from tests.protocols.transcript import Transcript, told
from tests.protocols.vertical.parts import Settings

__all__ = ["Transcript", "play"]


def play(columns: dict[str, FloatArray], y: Array, settings: Settings) -> Transcript:
    """Run a job; messages and tasks in the order in which they are asked for."""
    return told(rehearse(columns, y, settings))
