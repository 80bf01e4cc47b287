"""How does a party end? It scores the rows held out, vouches for its part of the model, and checks the close."""

from math import isfinite

from hansa.protocols.errors import PeerError
from hansa.protocols.machine import Effect, Finish, Send, Step
from hansa.protocols.vertical.concluding import METRICS, Concluded, model_digest, parted
from hansa.protocols.vertical.course import Course
from hansa.protocols.vertical.job import Ended
from hansa.protocols.vertical.messages import Closed, HeldOut, Part
from hansa.protocols.vertical.outcome import OwnCoefficients
from hansa.protocols.vertical.patience import stopped
from hansa.protocols.vertical.stages import Concluding, Parting, State

TENTHS = 9  # inner edges between ten parts


def concluding(course: Course) -> Step[State]:
    """Have the end computed, once every peer's key for masks is here."""
    return Step(Concluding(course), () if course.without_key else (course.concluding(),))


def parting(state: Concluding, done: Concluded) -> Step[State]:
    """Tell the arbiter how we score the rows held out, if there are any, and which part is ours."""
    course = state.course
    seat = course.seat
    sends: tuple[Effect, ...] = (Send(seat.arbiter, Part(seat.session, done.digest)),)
    if course.own.held_out:
        held_out = HeldOut(seat.session, done.shares, done.labels, done.intercept)
        sends = (Send(seat.arbiter, held_out), *sends)
    return Step(Parting(course, done), sends)


def closed(state: Parting, sender: str, message: Closed) -> Step[State]:
    """End with our part of the model.

    Raises:
        PeerError: a digest that is not ours, or not of these parts, or figures that can't be.
    """
    course, done = state.course, state.done
    seat = course.seat
    if sorted(message.parts) != list(seat.parties) or message.parts[seat.me] != done.digest:
        raise PeerError(f"{sender} closed the job with another part than ours")
    if message.digest != model_digest(message.parts):
        raise PeerError(f"{sender} closed the job with a digest that is not of these parts")
    _check_figures(course, sender, message)
    theta, intercept = parted(seat, course.learner.theta)
    result = OwnCoefficients(
        theta=theta,
        intercept=intercept,
        preparation=done.preparation,
        role="guest" if seat.me == seat.guest else "host",
        guest=seat.guest,
        hosts=seat.hosts,
        logistic=seat.logistic,
        losses=course.losses,
        epochs=course.last.epochs,
        salt=done.salt,
        parts=message.parts,
        digest=message.digest,
        loss=message.loss,
        score=message.score,
        metric=message.metric,
        rows=message.rows,
        deciles=message.deciles,
    )
    return Step(Ended(seat), (*stopped(), Finish(result)))


def _check_figures(course: Course, sender: str, message: Closed) -> None:
    """Refuse figures of other rows than those held out, or that are no figures."""
    seat, held_out = course.seat, course.own.held_out
    figures = (message.loss, message.score)
    if held_out:
        fits = message.metric in METRICS and all(each is not None and isfinite(each) for each in figures)
    else:
        fits = message.metric == "" and figures == (None, None)
    edges = message.deciles
    told = TENTHS if held_out and seat.me == seat.guest else 0
    if not fits or message.rows != held_out or len(edges) != told or list(edges) != sorted(edges):
        raise PeerError(f"{sender} closed the job with figures that are not of {held_out} rows held out")
