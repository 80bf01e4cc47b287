"""What does an agent say while it works? Lines on stderr, for people or for machines.

Metadata only: who, what, when and why. A task that failed on a party's own rows may name the row here, and only
here. Text that came from others cannot forge a line: what is no printable character is escaped.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

Form = Literal["text", "json"]

LEVELS = ("debug", "info", "warning", "error")


class TextLines(logging.Formatter):
    """``2026-01-31 09:15:02 WARNING text``, in UTC; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{when}Z {record.levelname:<7} {printable(record.getMessage())}"
        return line + "\n" + self.formatException(record.exc_info) if record.exc_info else line


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, agent, message, and an event's own fields.

    Args:
        agent: whose log it is.
    """

    def __init__(self, agent: str) -> None:
        super().__init__()
        self._agent = agent

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "agent": self._agent,
            "message": record.getMessage(),
        }
        for key in ("event", "fields"):
            if hasattr(record, key):
                told[key] = getattr(record, key)
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


def write_logs(agent: str, form: Form = "text", level: str = "info", stream: TextIO | None = None) -> None:
    """Have everything of the house logged to stderr, from `level` on; of other libraries, warnings."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextLines() if form == "text" else JsonLines(agent))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("hansa").setLevel(level.upper())
    logging.captureWarnings(True)


def printable(text: str) -> str:
    """Return text without control characters: what others wrote must not steer a terminal or forge a line."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
