"""Who keeps us waiting? Deadlines that name whoever is missing, and nobody who only waits for another.

As in training (`vertical.patience`): whoever has been held up for a while says so to all but those it waits for,
and gets their patience anew; the word is passed on; and those with first-hand knowledge have least patience. Three
timers, wound up again by whatever happens in our machine; the first and last are times our patience:

* ``overdue``: after ``overdue_s`` those we wait for go on the ledger, and we say that we wait;
* ``held-up``: from then on we say so again and again;
* ``give-up``: after ``give_up_s`` the job ends.
"""

from typing import TypeVar

from hansa.protocols.inference.job import Ended, Seat
from hansa.protocols.inference.messages import Waiting
from hansa.protocols.machine import Abort, Awaited, CancelTimer, Effect, Record, Send, SetTimer, Step
from hansa.protocols.vertical import Overdue

OVERDUE = "overdue"
HELD_UP = "held-up"
GIVE_UP = "give-up"
STUCK = "stuck"  # after so many times of giving up in which there were excuses and nothing else:
MOST_EXCUSES = 24

# A host answers which ids it has, and sends its key, without waiting for anybody; shares need keys, an answer needs
# shares, and the guest's word needs the hosts'.
FIRST_HAND = 1
FOR_SHARES = 2
FOR_ANSWER = 3
FOR_GUEST = 4

StateT = TypeVar("StateT")


def wound_up(seat: Seat, patience: int) -> tuple[Effect, ...]:
    """Return fresh timers, since something has come of our waiting."""
    return (*_more_time(seat, patience), SetTimer(STUCK, patience * _give_up_s(seat, STUCK)))


def stopped() -> tuple[Effect, ...]:
    """Return the end of all timers."""
    return tuple(CancelTimer(name) for name in (OVERDUE, HELD_UP, GIVE_UP, STUCK))


def aborted(seat: Seat, reason: str, missing: tuple[str, ...] = ()) -> Step[Ended]:
    """Return the end of a role that gives up."""
    return Step(Ended(seat), (*stopped(), Abort(reason, missing)))


def excused(state: StateT, seat: Seat, sender: str, waiting: Awaited, patience: int) -> Step[StateT]:
    """Give one that only waits for others the whole time again, and pass the word on."""
    if sender not in waiting.whom:
        return Step(state)
    return Step(state, (*_excuse(seat, waiting), *_more_time(seat, patience)))


def fired(
    state: StateT, seat: Seat, name: str, waiting: Awaited, patience: int
) -> Step[StateT] | Step[Ended]:
    """Return what follows when a timer has run out.

    Args:
        state: ours.
        seat: ours.
        name: the timer's.
        waiting: what for and for whom; nobody while our own tasks are at work.
        patience: ours in the present state.
    """
    if name in (GIVE_UP, STUCK):
        if not waiting.whom:
            return Step(state, (SetTimer(name, patience * _give_up_s(seat, name)),))
        what = "no word" if name == GIVE_UP else "nothing but excuses"
        return aborted(seat, f"{waiting.what}: {what} from {', '.join(waiting.whom)}", waiting.whom)
    noted = (Record(Overdue(0, waiting.whom)),) if name == OVERDUE and waiting.whom else ()
    again = SetTimer(HELD_UP, patience * seat.settings.overdue_s)
    return Step(state, (*noted, *_excuse(seat, waiting), again))


def _give_up_s(seat: Seat, name: str) -> float:
    return seat.settings.give_up_s * (MOST_EXCUSES if name == STUCK else 1)


def _more_time(seat: Seat, patience: int) -> tuple[Effect, ...]:
    settings = seat.settings
    return (
        SetTimer(OVERDUE, patience * settings.overdue_s),
        SetTimer(GIVE_UP, patience * settings.give_up_s),
        CancelTimer(HELD_UP),
    )


def _excuse(seat: Seat, waiting: Awaited) -> tuple[Effect, ...]:
    """Return our word that we wait, to all but those we wait for."""
    message = Waiting(seat.session, waiting.whom)
    return tuple(Send(each, message) for each in seat.everybody if each not in (seat.me, *waiting.whom))
