"""How does the arbiter close a job? It adds up the masked scores of the rows held out, and collects all digests.

By then it has forgotten the key. What it learns here are sums of scores and the labels, of rows without a name
whose order means nothing to it; and digests. Where contributions are valued, nothing is masked, and it learns the
scores of each party's part as well.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from hansa.protocols.digest import DIGEST_BYTES
from hansa.protocols.errors import PeerError
from hansa.protocols.machine import Compute, Effect, Finish, Record, Send, Step, Valuation
from hansa.protocols.pairwise import decode64
from hansa.protocols.vertical.concluding import APPRAISE, Appraisal, Appraised, model_digest
from hansa.protocols.vertical.job import Ended, Seat
from hansa.protocols.vertical.messages import Closed, HeldOut, Part
from hansa.protocols.vertical.outcome import TrainingClosed
from hansa.protocols.vertical.patience import stopped
from hansa.protocols.vertical.valuing import VALUE, Parts, Valued


@dataclass(frozen=True, slots=True)
class Settling:
    """Training is over; parties say what is theirs.

    Attributes:
        rows, held_out: that all have.
        columns: by party.
        losses: of all epochs.
        parts: by party, the digest of its part, so far.
        held: and its scores of the rows held out.
    """

    seat: Seat
    rows: int
    held_out: int
    columns: dict[str, int]
    losses: tuple[float, ...]
    parts: dict[str, bytes]
    held: dict[str, HeldOut] = field(repr=False)

    @property
    def owing(self) -> tuple[str, ...]:
        """The parties that have not said everything yet."""
        return tuple(
            party
            for party in self.seat.parties
            if party not in self.parts or (self.held_out and party not in self.held)
        )


def taken_part(state: Settling, sender: str, message: Part) -> Step[Settling | Ended]:
    """Take the digest of a party's part.

    Raises:
        PeerError: a second one, or no digest.
    """
    if sender in state.parts or len(message.digest) != DIGEST_BYTES:
        raise PeerError(f"{sender} sent a digest again, or one of {len(message.digest)} bytes")
    return _settled(replace(state, parts={**state.parts, sender: message.digest}))


def taken_held_out(state: Settling, sender: str, message: HeldOut) -> Step[Settling | Ended]:
    """Take a party's masked scores, and the guest's labels with them.

    Raises:
        PeerError: a second time, of other rows than those held out, with labels that are none, or, where nothing is
            masked, with a score beyond the agreed limit or somebody else's intercept.
    """
    seat, labels = state.seat, message.labels
    expected = state.held_out if sender == seat.guest else 0
    if sender in state.held or not state.held_out:
        raise PeerError(f"{sender} sent rows held out again, or where there are none")
    if message.shares.shape != (state.held_out,) or labels.shape != (expected,):
        raise PeerError(f"{sender} sent scores or labels of other rows than the {state.held_out} held out")
    limit = 1.0 if seat.logistic else seat.settings.score_limit
    if not (np.abs(labels) <= limit).all() or (seat.logistic and not (np.abs(labels) == 1.0).all()):
        raise PeerError(f"{sender} sent labels beyond what the job says")
    _check_bare(seat, sender, message)
    return _settled(replace(state, held={**state.held, sender: message}))


def appraised(state: Settling, found: Appraised) -> Step[Settling | Ended]:
    """Close the job with what the rows held out say."""
    return _closed(state, found, None)


def valued(state: Settling, found: Valued) -> Step[Settling | Ended]:
    """Close the job likewise, and say what each part has added."""
    return _closed(state, found.whole, found.valuation)


def _check_bare(seat: Seat, sender: str, message: HeldOut) -> None:
    """Refuse an intercept where there is none to say; own scores beyond the limit are no scores."""
    limit = (
        seat.settings.score_limit if seat.valued and seat.settings.intercept and sender == seat.guest else 0.0
    )
    if not abs(message.intercept) <= limit:
        raise PeerError(f"{sender} sent an intercept beyond ±{limit:g}")
    if seat.valued:
        scores = decode64(message.shares, seat.held_out_bits())
        if np.abs(scores).max() > np.ceil(seat.settings.score_limit):
            raise PeerError(
                f"{sender} sent scores beyond ±{seat.settings.score_limit:g}: they must not be masked"
            )


def _settled(state: Settling) -> Step[Settling | Ended]:
    if state.owing:
        return Step(state)
    if not state.held_out:
        return _closed(state, None, None)
    seat, told = state.seat, state.held[state.seat.guest]
    shares = tuple(state.held[party].shares for party in seat.parties)
    if seat.valued:
        parts = Parts(seat, shares, told.labels, told.intercept, state.rows)
        return Step(state, (Compute(VALUE, VALUE, parts, 0),))
    return Step(state, (Compute(APPRAISE, APPRAISE, Appraisal(seat, shares, told.labels), 0),))


def _closed(state: Settling, found: Appraised | None, valuation: Valuation | None) -> Step[Settling | Ended]:
    seat, digest = state.seat, model_digest(state.parts)
    loss, score, metric = (found.loss, found.score, found.metric) if found else (None, None, "")

    def told(party: str) -> Closed:
        deciles = found.deciles if found and party == seat.guest else ()
        return Closed(seat.session, state.parts, digest, loss, score, metric, state.held_out, deciles)

    sends: tuple[Effect, ...] = tuple(Send(party, told(party)) for party in seat.parties)
    losses = state.losses if seat.settings.show_loss else ()
    result = TrainingClosed(
        losses, len(state.losses), digest, loss, score, metric, rows=state.held_out, cells=_cells(state),
        contributions=valuation.shares if valuation else {},
    )  # fmt: skip
    noted: tuple[Effect, ...] = (Record(valuation),) if valuation else ()
    return Step(Ended(seat), (*noted, *sends, *stopped(), Finish(result)))


def _cells(state: Settling) -> dict[str, int]:
    """Return rows × columns by party: columns as registered, since a party may prepare more of them, or say so."""
    volumes = state.seat.volumes
    return {
        party: state.rows * (volumes[party][1] if party in volumes else columns)
        for party, columns in state.columns.items()
    }
