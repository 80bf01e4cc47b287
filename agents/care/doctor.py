"""What is wrong with a home, and what helps? Every check by itself, in a few seconds, with nothing secret shown.

A check looks at one thing and yields findings. One that hangs is left alone after `TIMEOUT_S`; one that needs what
another found wanting is not made, and says so. Nothing is changed, and the agent may be at work meanwhile; only to
call the roll of the others it is run for a moment, if it does not.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hansa.agents.config import AgentConfig
from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.broker import BrokerAddress, BrokerError, Identity
from hansa.ledger import LedgerError, Standing

TIMEOUT_S = 5.0  # of one check

Verdict = Literal["ok", "wrong", "note", "unchecked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: what it belongs to.
        verdict: only "wrong" wants something done; a "note" is worth knowing.
        text: one line: what is so, naming file, host or peer.
        remedy: one line: what helps.
    """

    area: str
    verdict: Verdict
    text: str
    remedy: str = ""


@dataclass(slots=True)
class Patient:
    """A home, and what the checks so far have learned of it.

    Args:
        clock: UTC seconds since 1970.
        passphrase_file: holds the passphrase of the keys.
        healthy: the areas in which nothing is wrong; "agent.toml" can be read, "federation" is joined.
        status: what a running agent told; None: none runs.
        newest_s: the time of the ledger's newest entry, by its author's clock.
        server_s: by how much the database server's clock is ahead of ours.
    """

    home: Home
    clock: Callable[[], float] = time.time
    passphrase_file: Path | None = None
    healthy: set[str] = field(default_factory=set)
    config: AgentConfig | None = None
    identity: Identity | None = None
    address: BrokerAddress | None = None
    status: dict[str, Any] | None = None
    standing: Standing | None = None
    newest_s: float | None = None
    server_s: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A check.

    Attributes:
        look: makes it.
        needs: areas that must be healthy.
        timeout_s: it is given up after this.
    """

    area: str
    look: Callable[[Patient], Iterable[Finding]]
    needs: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S


def examine(patient: Patient, checks: Iterable[Check]) -> Iterator[Finding]:
    """Make all checks in their order; yield what they find as they find it."""
    for check in checks:
        lacking = [need for need in check.needs if need not in patient.healthy]
        if lacking:
            yield Finding(check.area, "unchecked", f"not checked: needs {lacking[0]}")
            continue
        found = _made(patient, check)
        if not any(each.verdict in ("wrong", "unchecked") for each in found):
            patient.healthy.add(check.area)
        yield from found


def _made(patient: Patient, check: Check) -> list[Finding]:
    """Return what one check finds, in time."""
    found: list[Finding] = []
    done = threading.Event()

    def look() -> None:
        try:
            found.extend(check.look(patient))
        except (AgentError, BrokerError, LedgerError, OSError) as error:
            found.append(Finding(check.area, "wrong", str(error), "see the other findings first"))
        except Exception as error:  # a check that fails is a finding, and no reason to miss the others
            text = f"the check itself failed: {type(error).__name__}: {error}"
            found.append(
                Finding(check.area, "wrong", text, "a fault of hansa's own: report it with this line")
            )
        finally:
            done.set()

    threading.Thread(target=look, name=f"hansa-{check.area}", daemon=True).start()
    if not done.wait(check.timeout_s):
        late = f"no answer within {check.timeout_s:g} s"
        return [*found, Finding(check.area, "wrong", late, "see whether a disk or the network hangs")]
    return found
