"""The heavy work of vertical regression: pure functions of their inputs, and of our own rows where they say so."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np

from hansa.protocols.crypto import (
    EncryptedArray,
    FreshMasks,
    MaskSource,
    PublicKey,
    SecretKey,
    SeedStream,
    best_window,
    concatenate,
    encode,
    generate_standard,
    generate_subgroup,
    table_for,
)
from hansa.protocols.crypto.elements import Objects, objects
from hansa.protocols.crypto.integers import random_below, to_bytes
from hansa.protocols.crypto.keygen import SECURITY_BITS
from hansa.protocols.digest import parameters_digest
from hansa.protocols.machine import TaskSpec, Workbench
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.vertical.exposure import check_held_out, check_own_columns
from hansa.protocols.vertical.frames import framed, kept, read_frame, reread, unframed
from hansa.protocols.vertical.guard import check_scores
from hansa.protocols.vertical.job import (
    PENALTY_BITS,
    PENALTY_LIMIT,
    THETA_BITS,
    THETA_LIMIT,
    Seat,
    drawn_seed,
)
from hansa.protocols.vertical.rows import (
    OwnRows,
    checked_held_out,
    checked_rows,
    first_coefficients,
    own_rows,
)
from hansa.protocols.vertical.settings import KeyName

INSPECT = "inspect"
SCORE = "score"
RESIDUAL = "residual"
FOLD = "fold"
SEAL = "seal"
TOTAL = "total"
MAKE_KEY = "make-key"
OPEN = "open"
OPEN_LOSS = "open-loss"

ALPHA_SHARE = 8  # a key of a size that only trials use has subgroups of an eighth of its bits


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at our rows takes."""

    seat: Seat
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Inspected:
    """Our rows are fit.

    Attributes:
        rows, held_out: to train and to evaluate on.
        columns: without the guest's intercept.
        theta: where our coefficients start, (gradients,).
        footing: the mark of the job's unchangeable part and of all our rows.
    """

    rows: int
    held_out: int
    columns: int
    theta: FloatArray = field(repr=False)
    footing: bytes


def inspect(inputs: Inspection, bench: Workbench, seed: int) -> Inspected:
    """Check our rows, and draw the guest's first coefficients.

    Raises:
        RowsRefused, LeakRefused: their kinds.
    """
    seat = inputs.seat
    rows, held_out = checked_rows(seat, bench), checked_held_out(seat, bench)
    theta = first_coefficients(seat, rows, drawn_seed(inputs.secret, "start"))
    columns = rows.X.shape[1] - (seat.me == seat.guest and seat.settings.intercept)
    if seat.valued and seat.settings.guard:
        check_held_out(len(held_out.X), len(seat.parties))
        check_own_columns(held_out.X[:, :columns])
    footing = seat.footing(parameters_digest((rows.X, rows.targets, held_out.X, held_out.targets)))
    return Inspected(len(rows.X), len(held_out.X), columns, theta, footing)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the run a task belongs, and what all tasks of a party need.

    Attributes:
        public: the key's bytes.
        rows: that everybody has.
        secret: of the role; masks derive from it, round and block.
    """

    seat: Seat
    public: bytes = field(repr=False)
    rows: int
    round: int
    block: int
    secret: bytes = field(repr=False)

    @property
    def batch(self) -> int:
        """The number of the batch in the epoch."""
        return self.round % self.seat.plan(self.rows).batches

    @property
    def block_size(self) -> int:
        """The rows of the block."""
        return self.seat.plan(self.rows).block_size(self.batch, self.block)

    def own_rows(self, bench: Workbench) -> OwnRows:
        """Return the block's rows, reading no other."""
        block = self.seat.plan(self.rows).block_rows(self.batch, self.block)
        return own_rows(self.seat, bench, block)

    def key(self) -> PublicKey:
        """Return the public key."""
        return PublicKey.from_bytes(self.public)

    def masks(self, key: PublicKey, purpose: str) -> MaskSource:
        """Return masks for one purpose, fresh for this round and block."""
        window = best_window(key, self.rows * self.seat.settings.epochs)
        randomness = SeedStream(drawn_seed(self.secret, purpose, self.round, self.block))
        return FreshMasks(table_for(key, window), randomness)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Encrypted numbers for a peer."""

    frame: Array = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """A host's block and coefficients, (gradients,)."""

    place: Place
    theta: FloatArray = field(repr=False)


def score(inputs: Scoring, bench: Workbench, seed: int) -> Frame:
    """Encrypt a block of a host's share of the scores, times the slope.

    Raises:
        EncodingError: a score beyond the agreed limit.
    """
    place = inputs.place
    seat, key = place.seat, place.key()
    shares = seat.slope * (place.own_rows(bench).X @ inputs.theta)
    plain = encode(shares, seat.settings.score_bits, seat.settings.score_limit)
    return Frame(framed(EncryptedArray.encrypt(key, plain, place.masks(key, SCORE))))


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """The guest's block and coefficients, the most columns a host has, and every host's scores for the block."""

    place: Place
    widest: int
    theta: FloatArray = field(repr=False)
    frames: tuple[Array, ...] = field(repr=False)


def residual(inputs: Residuals, bench: Workbench, seed: int) -> Frame:
    """Add up a block's residuals, d = slope·u − t, under fresh masks.

    Without these a host could divide by its own ciphertext and read what the others have added.

    Raises:
        PeerError: a host's numbers are of another format than agreed.
        EncodingError: our share is beyond the agreed limit.
        GoneCold: our scores hide the labels of this batch no more; found with its first block, without which
            nobody has a gradient.
    """
    place = inputs.place
    seat, key = place.seat, place.key()
    settings, mine = seat.settings, place.own_rows(bench)
    if settings.guard and place.block == 0:
        _check_warmth(inputs, bench)
    targets = (0.5 if seat.logistic else 1.0) * mine.targets
    shares = seat.slope * (mine.X @ inputs.theta) - targets
    own = encode(shares, settings.score_bits, settings.score_limit)
    read = [
        read_frame(frame, key, place.block_size, settings.score_bits, own.limit) for frame in inputs.frames
    ]
    return Frame(framed((reduce(add, read) + own).rerandomised(place.masks(key, RESIDUAL))))


@dataclass(frozen=True, slots=True, eq=False)
class Folding:
    """Residuals, and the columns to multiply with them.

    Attributes:
        frames: of the place's block, and of those that follow it.
        low, high: the columns, the guest's intercept counting as its last; the latter not included.
    """

    place: Place
    frames: tuple[Array, ...] = field(repr=False)
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Partial:
    """What some blocks add to some of our gradient.

    Attributes:
        low: the first of its columns.
        gradient: (columns,).
        loss: at the guest, with the first columns, what the blocks add to the loss: targets·d, (1,); else empty.
    """

    low: int
    gradient: bytes = field(repr=False)
    loss: bytes = field(repr=False)


def fold(inputs: Folding, bench: Workbench, seed: int) -> Partial:
    """Multiply some of our columns with encrypted residuals.

    Raises:
        PeerError: the residuals are of another format than agreed.
    """
    place = inputs.place
    seat, key, plan = place.seat, place.key(), place.seat.plan(place.rows)
    settings, bits, limit = seat.settings, seat.settings.score_bits, seat.residual_limit()
    blocks = range(place.block, place.block + len(inputs.frames))
    sizes = (plan.block_size(place.batch, block) for block in blocks)
    pairs = zip(inputs.frames, sizes, strict=True)
    d = concatenate([read_frame(frame, key, size, bits, limit) for frame, size in pairs])
    which = np.concatenate([plan.block_rows(place.batch, block) for block in blocks])
    mine = own_rows(seat, bench, which)
    columns = encode(mine.X[:, inputs.low : inputs.high], settings.feature_bits, settings.feature_limit).T
    loss = b""
    if seat.me == seat.guest and inputs.low == 0:
        weight = 1.0 if seat.logistic else 0.5
        targets = encode(-weight * mine.targets, bits, settings.score_limit)
        loss = kept((targets @ d).reshape(1))
    return Partial(inputs.low, kept(columns @ d), loss)


@dataclass(frozen=True, slots=True, eq=False)
class Sealing:
    """A batch's gradient in parts, our coefficients, and our part of the epoch's loss so far (empty: none)."""

    place: Place
    partials: tuple[Partial, ...]
    theta: FloatArray = field(repr=False)
    loss: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Sealed:
    """The masked gradient for the arbiter; our part of the loss, for ourselves and with fresh masks to send."""

    frame: Array = field(repr=False)
    loss: bytes = field(repr=False)
    term: Array = field(repr=False)


def seal(inputs: Sealing, bench: Workbench, seed: int) -> Sealed:
    """Pack and mask a batch's gradient, and go on adding up the loss.

    Our part of the loss is ½θ·Xᵀd, at the guest also −½y·d (logistic: −y·d), and for everybody the penalties,
    rows·(λ/2·‖θ‖² + l1·‖θ‖₁).

    Raises:
        EncodingError: a coefficient beyond 2^20.
    """
    place = inputs.place
    seat, key = place.seat, place.key()
    gradient = _joined(inputs.partials, key)
    packing = seat.packing(key, seat.plan(place.rows).size(place.batch))
    packed = packing.pack(gradient, place.masks(key, "pack"))
    residues = masking_residues(place.secret, place.round, key, len(packed))
    loss = (encode(0.5 * inputs.theta, THETA_BITS, THETA_LIMIT) @ gradient).reshape(1)
    for each in inputs.partials:
        loss = loss + reread(each.loss, key) if each.loss else loss
    loss = loss + encode([_penalty(place, inputs.theta)], PENALTY_BITS, PENALTY_LIMIT)
    loss = loss + reread(inputs.loss, key) if inputs.loss else loss
    return Sealed(
        framed(packed.masked(residues).rerandomised(place.masks(key, SEAL))),
        kept(loss),
        framed(loss.rerandomised(place.masks(key, "loss"))),
    )


def masking_residues(secret: bytes, round_: int, public: PublicKey, count: int) -> Objects:
    """Return what hides a round's gradient from the arbiter: (count,) integers uniform in [0, n)."""
    randomness = SeedStream(drawn_seed(secret, "residues", round_))
    return objects((random_below(public.n, randomness) for _ in range(count)), (count,))


def penalised(seat: Seat, theta: FloatArray) -> FloatArray:
    """Return the coefficients that the penalty is on: all but the guest's intercept, which counts 0."""
    if seat.me == seat.guest and seat.settings.intercept:
        return np.append(theta[:-1], 0.0)
    return theta


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """The guest's part of an epoch's loss, and those of all hosts."""

    place: Place
    loss: bytes = field(repr=False)
    frames: tuple[Array, ...] = field(repr=False)


def total(inputs: Totals, bench: Workbench, seed: int) -> Frame:
    """Add up all parts of an epoch's loss under fresh masks."""
    key = inputs.place.key()
    parts = [unframed(frame, key, (1,)) for frame in inputs.frames]
    whole = reduce(add, parts, reread(inputs.loss, key))
    return Frame(framed(whole.rerandomised(inputs.place.masks(key, TOTAL))))


# -- the arbiter's ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyWish:
    """Which key to make, and of what."""

    kind: KeyName
    bits: int
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The bytes of both halves."""

    secret: bytes = field(repr=False)
    public: bytes


def make_key(inputs: KeyWish, bench: Workbench, seed: int) -> KeyPair:
    """Make the arbiter's key."""
    randomness, bits = SeedStream(inputs.seed), inputs.bits
    if inputs.kind == "subgroup":
        alpha_bits = None if bits in SECURITY_BITS else bits // ALPHA_SHARE
        key = generate_subgroup(bits, randomness=randomness, alpha_bits=alpha_bits)
    else:
        key = generate_standard(bits, randomness=randomness)
    return KeyPair(key.to_bytes(), key.public.to_bytes())


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """A masked gradient of so many ciphertexts."""

    secret: bytes = field(repr=False)
    frame: Array = field(repr=False)
    count: int


@dataclass(frozen=True, slots=True)
class Residues:
    """Integers in [0, n), each as long as n."""

    residues: bytes = field(repr=False)


def open_gradient(inputs: Opening, bench: Workbench, seed: int) -> Residues:
    """Decrypt what is uniform modulo n to us.

    Raises:
        CiphertextRefused: no such frame, or of another length.
    """
    key = SecretKey.from_bytes(inputs.secret, check=False)  # made by `make_key`
    array = unframed(inputs.frame, key.public, (inputs.count,))
    width = key.public.ciphertext_bytes // 2
    return Residues(b"".join(to_bytes(int(each), width) for each in array.decrypt_residues(key).tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class LossOpening:
    """An epoch's loss, encrypted."""

    secret: bytes = field(repr=False)
    frame: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class LossOpened:
    """Summed over rows."""

    loss: float


def open_loss(inputs: LossOpening, bench: Workbench, seed: int) -> LossOpened:
    """Decrypt an epoch's loss.

    Raises:
        CiphertextRefused: no frame of one ciphertext.
        PlaintextOverflow: a loss beyond what the guest has stated.
    """
    key = SecretKey.from_bytes(inputs.secret, check=False)  # made by `make_key`
    return LossOpened(float(unframed(inputs.frame, key.public, (1,)).decrypt(key)[0]))


TASKS: dict[str, TaskSpec] = {
    INSPECT: TaskSpec(inspect, Inspection, Inspected),
    SCORE: TaskSpec(score, Scoring, Frame, heavy=True),
    RESIDUAL: TaskSpec(residual, Residuals, Frame, heavy=True),
    FOLD: TaskSpec(fold, Folding, Partial, heavy=True),
    SEAL: TaskSpec(seal, Sealing, Sealed, uses_bench=False, heavy=True),
    TOTAL: TaskSpec(total, Totals, Frame, uses_bench=False),
    MAKE_KEY: TaskSpec(make_key, KeyWish, KeyPair, uses_bench=False, heavy=True),
    OPEN: TaskSpec(open_gradient, Opening, Residues, uses_bench=False, heavy=True),
    OPEN_LOSS: TaskSpec(open_loss, LossOpening, LossOpened, uses_bench=False),
}


# -- helpers ------------------------------------------------------------------------------------------------


def _check_warmth(inputs: Residuals, bench: Workbench) -> None:
    """Have the guard look at our scores of a whole batch; rows are read a block at a time."""
    place, parts = inputs.place, []
    seat, plan = place.seat, place.seat.plan(place.rows)
    for block in range(plan.blocks(place.batch)):
        rows = own_rows(seat, bench, plan.block_rows(place.batch, block))
        parts.append((rows.X @ inputs.theta, rows.targets))
    scores, targets = (np.concatenate(each) for each in zip(*parts, strict=True))
    check_scores(scores, targets, inputs.widest, seat.settings.score_bits)


def _joined(partials: Sequence[Partial], key: PublicKey) -> EncryptedArray:
    """Add up what blocks have given, and put columns side by side."""
    sums: dict[int, list[EncryptedArray]] = defaultdict(list)
    for each in partials:
        sums[each.low].append(reread(each.gradient, key))
    return concatenate([reduce(add, sums[low]) for low in sorted(sums)])


def _penalty(place: Place, theta: FloatArray) -> float:
    settings, weights = place.seat.settings, penalised(place.seat, theta)
    each = settings.penalty / 2 * float(weights @ weights) + settings.l1 * float(np.abs(weights).sum())
    return place.seat.plan(place.rows).size(place.batch) * each
