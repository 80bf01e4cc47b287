"""Who keeps us waiting? Deadlines that name whoever is missing, and nobody who only waits for another.

Most of those who are silent wait themselves. So whoever has been held up for a while says so (`Waiting`) to all but
those it waits for; one that we await and that has said so gets the whole time again, and the word is passed on,
since others may wait for us. Roles differ in patience, those with first-hand knowledge having least, so that its
word comes before somebody else would blame the wrong one.

Four timers, wound up again by whatever happens in our machine, the last by progress alone; times our patience:

* ``overdue``: after ``overdue_s`` those we wait for go on the ledger, and we say that we wait;
* ``held-up``: from then on we say so again and again;
* ``give-up``: after ``give_up_s`` the job ends;
* ``stuck``: so does it after 24 of these in which there were excuses and nothing else.
"""

from hansa.protocols.machine import Abort, Awaited, CancelTimer, Effect, Record, Send, SetTimer, Step
from hansa.protocols.vertical.job import Ended, Seat
from hansa.protocols.vertical.messages import Waiting
from hansa.protocols.vertical.outcome import Overdue

OVERDUE = "overdue"
HELD_UP = "held-up"
GIVE_UP = "give-up"
STUCK = "stuck"

MOST_EXCUSES = 24  # times of giving up, which is a day by default

# Patience: the arbiter about the parties' rows, whoever has asked the arbiter to open a gradient, and whoever lacks
# a peer's key for masks, know first.
FIRST_HAND = 1
SETTLING_PATIENCE = 2  # of the arbiter, when parties may still wait for each other's keys
GUEST_PATIENCE = 2
ARBITER_PATIENCE = 3
HOST_PATIENCE = 4


def wound_up(seat: Seat, patience: int) -> tuple[Effect, ...]:
    """Return fresh timers, since something has come of our waiting."""
    return (*_more_time(seat, patience), SetTimer(STUCK, patience * _give_up_s(seat, STUCK)))


def excused(seat: Seat, patience: int, round_: int, waiting: Awaited) -> tuple[Effect, ...]:
    """Return what follows when one that we await says that it only waits: it gets the whole time again."""
    return (*excuse(seat, round_, waiting), *_more_time(seat, patience))


def stopped() -> tuple[Effect, ...]:
    """Return the end of all timers."""
    return tuple(CancelTimer(name) for name in (OVERDUE, HELD_UP, GIVE_UP, STUCK))


def abandoned(seat: Seat, reason: str) -> Step[Ended]:
    """Return the end of the role, for a reason."""
    return Step(Ended(seat), (*stopped(), Abort(reason)))


def _give_up_s(seat: Seat, name: str) -> float:
    return seat.settings.give_up_s * (MOST_EXCUSES if name == STUCK else 1)


def _more_time(seat: Seat, patience: int) -> tuple[Effect, ...]:
    settings = seat.settings
    return (
        SetTimer(OVERDUE, patience * settings.overdue_s),
        SetTimer(GIVE_UP, patience * settings.give_up_s),
        CancelTimer(HELD_UP),
    )


def excuse(seat: Seat, round_: int, waiting: Awaited) -> tuple[Effect, ...]:
    """Return our word that we wait, to all but those we wait for."""
    message = Waiting(seat.session, round_, waiting.whom)
    everybody = (*seat.parties, seat.arbiter)
    return tuple(Send(each, message) for each in everybody if each not in (seat.me, *waiting.whom))


def fired(seat: Seat, patience: int, name: str, round_: int, waiting: Awaited) -> tuple[Effect, ...]:
    """Return what follows when a timer has run out; an `Abort` among it ends the role.

    Args:
        seat: ours.
        patience: ours in the present state.
        name: the timer's.
        round_: the present one, for the ledger.
        waiting: what for and for whom; nobody while our own tasks are at work.
    """
    if name in (GIVE_UP, STUCK):
        if not waiting.whom:
            return (SetTimer(name, patience * _give_up_s(seat, name)),)
        what = "no word" if name == GIVE_UP else "nothing but excuses"
        reason = f"{waiting.what}: {what} from {', '.join(waiting.whom)}"
        return (*stopped(), Abort(reason, waiting.whom))
    noted = (Record(Overdue(round_, waiting.whom)),) if name == OVERDUE and waiting.whom else ()
    return (*noted, *excuse(seat, round_, waiting), SetTimer(HELD_UP, patience * seat.settings.overdue_s))
