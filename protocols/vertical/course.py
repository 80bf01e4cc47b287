"""What does a party carry from round to round? Its coefficients, its secret, and what has come too early.

A round is one batch. Rounds count from 0 through all epochs, so that a number never means two batches' masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from hansa.protocols.crypto import PublicKey, decode
from hansa.protocols.crypto.decryption import signed
from hansa.protocols.crypto.errors import NotASlot
from hansa.protocols.crypto.integers import from_bytes
from hansa.protocols.errors import PeerError
from hansa.protocols.machine import Compute
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.vertical.concluding import CONCLUDE, Conclusion
from hansa.protocols.vertical.frames import check_frame
from hansa.protocols.vertical.job import Seat
from hansa.protocols.vertical.messages import Residual, Scores
from hansa.protocols.vertical.optimiser import Learner
from hansa.protocols.vertical.outcome import EpochState, PartyCheckpoint
from hansa.protocols.vertical.tasks import (
    FOLD,
    RESIDUAL,
    SCORE,
    SEAL,
    TOTAL,
    Folding,
    Partial,
    Place,
    Residuals,
    Scoring,
    Sealing,
    Totals,
    masking_residues,
    penalised,
)

# Up to so many rows, columns are multiplied with the residuals of a whole batch at once, since many rows share
# multiplications: in blocks of 72 it takes up to twice as many. It is then cut by columns, so that cores share the
# work. Of more rows the intermediate products no longer fit into a processor's cache, which costs more.
FOLDED_WHOLE = 4_096
MOST_CUTS = 4


@dataclass(frozen=True, slots=True)
class Inbox:
    """What hosts have sent and the guest has not used yet; always empty at hosts.

    Attributes:
        scores: of this round and the next, with their senders at the same places.
        senders: who sent them.
        terms: of this epoch's loss, by host.
    """

    scores: tuple[Scores, ...] = field(default=(), repr=False)
    senders: tuple[str, ...] = ()
    terms: dict[str, Array] = field(default_factory=dict, repr=False)

    def of(self, round_: int, block: int) -> dict[str, Array]:
        """Return the frames of one block, by host."""
        pairs = zip(self.senders, self.scores, strict=True)
        return {sender: each.frame for sender, each in pairs if (each.round, each.block) == (round_, block)}

    def taking(self, sender: str, message: Scores) -> "Inbox":
        """Return it with one block more.

        Raises:
            PeerError: the sender has sent this block before.
        """
        if sender in self.of(message.round, message.block):
            raise PeerError(f"{sender} sent block {message.block} of round {message.round} again")
        return replace(self, scores=(*self.scores, message), senders=(*self.senders, sender))

    def without(self, round_: int, block: int) -> "Inbox":
        """Return what is left when a block has been used."""
        left = [
            (sender, each)
            for sender, each in zip(self.senders, self.scores, strict=True)
            if (each.round, each.block) != (round_, block)
        ]
        return replace(self, scores=tuple(each for _, each in left), senders=tuple(who for who, _ in left))


@dataclass(frozen=True, slots=True)
class Own:
    """What a party brings into a job.

    Attributes:
        secret: of the role.
        rows, held_out, columns, footing: as in ``Inspected``.
    """

    seat: Seat
    secret: bytes = field(repr=False)
    rows: int
    held_out: int
    columns: int
    footing: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A party on its way.

    Attributes:
        own: what we have brought.
        public: the key's bytes.
        widest: the columns of whoever else has most.
        learner: our coefficients.
        round: the present one, from 0.
        loss: our part of the present epoch's loss, encrypted; empty at its start.
        losses: of the epochs so far, if they are shown.
        last: where we stood when the present epoch began.
        inbox: what has come for later.
        keys: of our peers, for masks between two.
    """

    own: Own
    public: bytes = field(repr=False)
    widest: int
    learner: Learner
    round: int
    loss: bytes = field(repr=False)
    losses: tuple[float, ...]
    last: EpochState
    inbox: Inbox
    keys: dict[str, bytes]

    @property
    def seat(self) -> Seat:
        """Who we are."""
        return self.own.seat

    @property
    def secret(self) -> bytes:
        """Of the role; all masks and residues derive from it."""
        return self.own.secret

    @property
    def rows(self) -> int:
        """That everybody has."""
        return self.own.rows

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.seat.plan(self.rows).batches

    @property
    def epoch(self) -> int:
        """The present one, from 0."""
        return self.round // self.batches

    @property
    def batch(self) -> int:
        """The present one's number in its epoch."""
        return self.round % self.batches

    @property
    def blocks(self) -> int:
        """Blocks of the present batch."""
        return self.seat.plan(self.rows).blocks(self.batch)

    @property
    def folds_whole(self) -> bool:
        """Whether the present batch's residuals are multiplied with our columns all at once, or block by block."""
        return self.seat.plan(self.rows).size(self.batch) <= FOLDED_WHOLE

    @property
    def cuts(self) -> tuple[tuple[int, int], ...]:
        """The columns that one task takes, from and up to: all of a block, or some of a whole batch."""
        columns = len(self.learner.theta)
        parts = min(MOST_CUTS, columns) if self.folds_whole else 1
        return tuple(pairwise(columns * part // parts for part in range(parts + 1)))

    @property
    def foldings(self) -> int:
        """Tasks that the present batch's gradient takes."""
        return len(self.cuts) if self.folds_whole else self.blocks

    @property
    def is_last_of_epoch(self) -> bool:
        """Whether the present batch is its epoch's last."""
        return (self.round + 1) % self.batches == 0

    @property
    def without_key(self) -> tuple[str, ...]:
        """The peers whose key for masks we still need; nobody's where nothing is masked."""
        peers = (party for party in self.seat.parties if party not in (self.seat.me, *self.keys))
        return tuple(peers) if self.own.held_out and not self.seat.valued else ()

    def place(self, block: int = 0) -> Place:
        """Return where a task of the present round belongs."""
        return Place(self.seat, self.public, self.rows, self.round, block, self.secret)

    # Tasks

    def scoring(self, block: int) -> Compute:
        """Ask for a block of a host's scores."""
        return self._ask(
            f"{SCORE}/{self.round}/{block}", SCORE, Scoring(self.place(block), self.learner.theta)
        )

    def residuals(self, block: int) -> Compute:
        """Ask for a block of residuals from what all hosts have sent."""
        frames = self.inbox.of(self.round, block)
        theirs = tuple(frames[host] for host in self.seat.hosts)
        inputs = Residuals(self.place(block), self.widest, self.learner.theta, theirs)
        return self._ask(f"{RESIDUAL}/{self.round}/{block}", RESIDUAL, inputs)

    def folding(self, residuals: Sequence[Residual]) -> tuple[Compute, ...]:
        """Ask what residuals add to our gradient: those of a block, or of all blocks of a batch in any order."""
        ordered = sorted(residuals, key=lambda each: each.block)
        place, frames = self.place(ordered[0].block), tuple(each.frame for each in ordered)
        return tuple(
            self._ask(f"{FOLD}/{self.round}/{place.block}/{low}", FOLD, Folding(place, frames, low, high))
            for low, high in self.cuts
        )

    def sealing(self, partials: tuple[Partial, ...]) -> Compute:
        """Ask for the round's masked gradient."""
        inputs = Sealing(self.place(), partials, self.learner.theta, self.loss)
        return self._ask(f"{SEAL}/{self.round}", SEAL, inputs)

    def totalling(self) -> Compute:
        """Ask for the epoch's loss from everybody's parts."""
        terms = tuple(self.inbox.terms[host] for host in self.seat.hosts)
        return self._ask(f"{TOTAL}/{self.round}", TOTAL, Totals(self.place(), self.loss, terms))

    def concluding(self) -> Compute:
        """Ask for what ends the job: the rows held out, scored, and the digest of our part."""
        inputs = Conclusion(self.seat, self.learner.theta, self.keys, self.secret)
        return self._ask(CONCLUDE, CONCLUDE, inputs)

    def _ask(self, task_id: str, function: str, inputs: object) -> Compute:
        return Compute(task_id, function, inputs, 0)

    # Steps

    @classmethod
    def begun(
        cls, own: Own, public: bytes, widest: int, start: EpochState, inbox: Inbox, keys: dict[str, bytes]
    ) -> "Course":
        """Return a party at the beginning, or where an earlier job has left it."""
        first = start.epochs * own.seat.plan(own.rows).batches
        return cls(own, public, widest, start.learner, first, b"", start.losses, start, inbox, keys)

    def epoch_ended(self, loss: float | None) -> tuple["Course", PartyCheckpoint]:
        """Note an epoch's end and its loss, if we were told: ourselves, and what to keep for another job."""
        losses = self.losses if loss is None else (*self.losses, loss)
        now = EpochState(self.epoch + 1, self.learner, losses)
        inbox = replace(self.inbox, terms={})
        onward = replace(self, loss=b"", losses=losses, last=now, inbox=inbox)
        return onward, PartyCheckpoint(self.own.footing, (self.last, now))

    def stepped(self, residues: bytes) -> "Course":
        """Take our mask off what the arbiter has opened, and move the coefficients.

        Args:
            residues: Xᵀd + R modulo n, packed, each as long as n.

        Raises:
            PeerError: not as many as we have sent, or they are no gradient after the mask is off.
        """
        summed = self._unmasked(residues)
        settings = self.seat.settings
        theta = self.learner.theta
        rows = self.seat.plan(self.rows).size(self.batch)
        gradient = summed / rows + settings.penalty * penalised(self.seat, theta)
        l1 = settings.l1 * penalised(self.seat, np.ones_like(theta))
        learner = self.learner.stepped(gradient, settings.optimiser, settings.learning_rate, l1)
        return replace(self, learner=learner)

    def _unmasked(self, residues: bytes) -> FloatArray:
        key = PublicKey.from_bytes(self.public)
        packing = self.seat.packing(key, self.seat.plan(self.rows).size(self.batch))
        columns, width = len(self.learner.theta), key.ciphertext_bytes // 2
        count = packing.packed_size(columns)
        if len(residues) != count * width:
            raise PeerError(f"{self.seat.arbiter} opened {len(residues)} bytes, expected {count * width}")
        opened = [from_bytes(residues[at : at + width]) for at in range(0, len(residues), width)]
        masks: Sequence[int] = masking_residues(self.secret, self.round, key, count).tolist()
        plain = signed([(each - mask) % key.n for each, mask in zip(opened, masks, strict=True)], key)
        bits = self.seat.settings.feature_bits + self.seat.settings.score_bits
        try:
            integers = packing.unpack_integers(plain, columns)
        except NotASlot as error:
            raise PeerError(f"{self.seat.arbiter} opened what is no gradient of ours") from error
        return decode(np.array(integers, dtype=object), bits)


def check_place(seat: Seat, rows: int, round_: int, sender: str, message: Scores | Residual) -> None:
    """Refuse a block of another round, beyond the batch's blocks, or too long.

    Raises:
        PeerError: with what came and what was expected.
    """
    plan = seat.plan(rows)
    kind = type(message).__name__
    if message.round != round_:
        raise PeerError(f"{sender} sent {kind} of round {message.round}, expected {round_}")
    blocks = plan.blocks(round_ % plan.batches)
    if not 0 <= message.block < blocks:
        raise PeerError(f"{sender} sent {kind} of block {message.block} of {blocks}")
    size = plan.block_size(round_ % plan.batches, message.block)
    check_frame(sender, message.frame, size, seat.settings.key_bits)
