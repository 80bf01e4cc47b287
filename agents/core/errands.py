"""What may any machine ask for? To send, to have something on the ledger, and to be woken."""

from hansa.agents.core import wire
from hansa.agents.core.coordination import Errand
from hansa.agents.core.desk import Desk
from hansa.agents.core.messages import JobSpec
from hansa.agents.core.timers import Timers
from hansa.broker import NotEncodable
from hansa.protocols import CancelTimer, Record, Send, SetTimer


class Errands:
    """Leaves what machines ask for in the step's changes."""

    def __init__(self, desk: Desk, timers: Timers) -> None:
        self._desk = desk
        self._timers = timers

    def run(self, session: str, slot: str, spec: JobSpec, errand: Errand) -> str:
        """Do as a machine asks; return why it can't be done, in which case nothing is, or "".

        Args:
            slot: "job" or "role", whose timers are their own.
        """
        match errand:
            case Send(recipient, message):
                try:
                    self._desk.post(session, recipient, message)
                except (NotEncodable, ValueError) as error:  # a model that has diverged to NaN, say
                    return f"cannot send {type(message).__name__}: {error}"
            case Record(fact):
                try:
                    body = wire.body_of(spec, fact)
                    self._desk.write(session, body)
                except ValueError as error:  # more than an entry takes
                    return f"the ledger takes no such {type(fact).__name__}: {error}"
                for kind, fields in wire.events_of(body):
                    self._desk.announce(kind, **fields)
            case SetTimer(name, after_s):
                self._timers.set((session, slot, name), after_s)
            case CancelTimer(name):
                self._timers.drop((session, slot, name))
        return ""
