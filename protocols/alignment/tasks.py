"""The heavy work of alignment: pure functions of their inputs, and of our own ids where they say so."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.alignment import curve
from hansa.protocols.alignment.ids import id_digests, rows_digest, sentinel_digests
from hansa.protocols.alignment.job import MOST_POINTS, SENTINELS, Seat
from hansa.protocols.alignment.lists import Block, whole
from hansa.protocols.alignment.points import RepeatedPoint, repetition, shared
from hansa.protocols.alignment.secret import SECRET_BYTES, permutation, private_key, random_digests
from hansa.protocols.digest import freeze
from hansa.protocols.errors import IdError, LocalProtocolError, PeerError
from hansa.protocols.machine import Compute, TaskSpec, Workbench
from hansa.protocols.model import Array, IndexArray

PREPARE = "prepare"
BLIND = "blind"
RAISE = "raise"
MATCH = "match"
INSPECT = "inspect"
COUNT = "count"
SETTLE = "settle"

RESULT_DOMAIN = b"hansa/alignment/result/1\x00"

# A label says what a point of our list stands for: a row, nobody, or a sentinel (this one and those below).
PADDING = -1
FIRST_SENTINEL = -2


@dataclass(frozen=True, slots=True)
class Preparation:
    """What makes a list of our ids."""

    session: bytes
    secret: bytes = field(repr=False)
    pad_to: int
    block: int


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Our list in its secret order.

    Attributes:
        labels: (size,) int64: a row's index, ``PADDING``, or a sentinel.
        digests: the list in blocks of (n, 32) uint8.
        source: digest of the rows' ids, in their order.
    """

    labels: Array
    digests: tuple[Array, ...]
    source: bytes


def prepare(inputs: Preparation, bench: Workbench, seed: int) -> Prepared:
    """Digest our ids, add sentinels and padding, shuffle.

    Raises:
        IdError: an id can't be aligned, or there are too many.
        LocalProtocolError: this agent lends no ids.
    """
    texts, first_row = bench.ids()
    ids = id_digests(texts, inputs.session, first_row)
    bare = len(ids) + SENTINELS
    padding = -bare % inputs.pad_to if inputs.pad_to else 0
    if bare + padding > MOST_POINTS:
        raise IdError(f"a list of {bare + padding} points is longer than {MOST_POINTS}")
    sentinels = sentinel_digests(inputs.session, SENTINELS)
    digests = np.concatenate([ids, sentinels, random_digests(inputs.secret, padding)])
    labels = np.concatenate(
        [np.arange(len(ids)), FIRST_SENTINEL - np.arange(SENTINELS), np.full(padding, PADDING)]
    )
    order = permutation(inputs.secret, len(digests))
    blocks = range(0, len(order), inputs.block)
    return Prepared(
        freeze(labels[order].astype(np.int64)),
        tuple(freeze(digests[order[start : start + inputs.block]]) for start in blocks),
        rows_digest(texts),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Exponents:
    """Digests to blind, or points to raise: (n, 32) uint8, and the key."""

    points: Array
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """(n, 32) uint8, in the order of the inputs."""

    points: Array


def blind(inputs: Exponents, bench: Workbench, seed: int) -> Points:
    """Hash a block of our digests to the curve and raise it to our key."""
    return Points(curve.blind(inputs.points, inputs.key))


def raise_block(inputs: Exponents, bench: Workbench, seed: int) -> Points:
    """Raise a block of another's points to our key.

    Raises:
        PeerError: a point of small order is among them.
    """
    try:
        return Points(curve.raised(inputs.points, inputs.key))
    except curve.SmallOrder as error:
        raise PeerError(str(error)) from error


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Two lists under both keys, and what is needed to read ours."""

    session: bytes
    secret: bytes = field(repr=False)
    labels: Array
    ours: tuple[Block, ...]
    theirs: tuple[Block, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Our rows of the intersection, (m,) int64 in the order of the points, and a digest of the points."""

    rows: Array
    digest: bytes


def match(inputs: Pairing, bench: Workbench, seed: int) -> Matched:
    """Intersect the lists, and check that the other side has played fair as far as can be seen.

    Raises:
        PeerError: a point stands twice in the other's list; our own points were sent back as theirs; or the
            sentinels are not where we put them: our list came back in another order or under another key.
    """
    ours, theirs = whole(inputs.ours), whole(inputs.theirs)
    key = private_key(inputs.secret)
    reflected = curve.raised(curve.blind(sentinel_digests(inputs.session, SENTINELS), key), key)
    try:
        found = shared([ours, theirs], 2).positions[0]
        if shared([reflected, theirs], 2).count:
            raise PeerError("the list holds points of ours, sent back")
    except RepeatedPoint as error:
        whose = ("our list came back with", "the list holds")[error.place]
        raise PeerError(f"{whose} a point twice") from error
    digest = hashlib.sha256(RESULT_DOMAIN + inputs.session + ours[found].tobytes()).digest()
    return Matched(own_rows(inputs.labels, found), digest)


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """Another's list as we raised it."""

    theirs: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """Nothing was wrong."""


def inspect(inputs: Inspection, bench: Workbench, seed: int) -> Inspected:
    """Check a list of which we learn nothing else.

    Raises:
        PeerError: a point stands there twice.
    """
    if repetition(whole(inputs.theirs)) is not None:
        raise PeerError("the list holds a point twice")
    return Inspected()


@dataclass(frozen=True, slots=True, eq=False)
class Tags:
    """One party's list under all keys."""

    owner: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """All lists under all keys, and how many an id must stand in."""

    lists: tuple[Tags, ...]
    threshold: int


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """For each list, where the points stand that are in enough of them, (m,) int64; and how many ids these are.

    The positions follow the order of the points, which is the same for all lists.
    """

    positions: tuple[Array, ...]
    common: int


def tally(inputs: Tally, bench: Workbench, seed: int) -> Counted:
    """Count in how many lists each point stands.

    Raises:
        PeerError: a list holds a point twice, or lacks the sentinels: its owner's, or somebody's on the way.
    """
    lists = [whole(each.blocks) for each in inputs.lists]
    try:
        found = shared(lists, inputs.threshold)
    except RepeatedPoint as error:
        raise PeerError(f"{inputs.lists[error.place].owner}'s list holds a point twice") from error
    if found.in_all < SENTINELS:
        raise PeerError(f"only {found.in_all} points are in all lists; everybody adds the same {SENTINELS}")
    return Counted(tuple(freeze(each) for each in found.positions), found.count - SENTINELS)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The aggregator's positions, and what they stand for; ``aligned``: their order is to be kept."""

    labels: Array
    positions: Array
    aligned: bool


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """(m,) int64, indices of our rows."""

    rows: Array


def settle(inputs: Answer, bench: Workbench, seed: int) -> Rows:
    """Turn positions into rows.

    Raises:
        PeerError: positions outside our list, named twice, of padding, or without the sentinels: our list was
            put in another order on its way.
    """
    positions, size = inputs.positions, len(inputs.labels)
    if positions.dtype != np.int64 or positions.ndim != 1:
        raise PeerError(f"expected (m,) int64 positions, not {positions.shape} {positions.dtype}")
    if positions.size and not 0 <= int(positions.min()) <= int(positions.max()) < size:
        raise PeerError(f"a position lies outside our list of {size}")
    if len(np.unique(positions)) != len(positions):
        raise PeerError("a position is named twice")
    rows = own_rows(inputs.labels, positions)
    return Rows(rows if inputs.aligned else freeze(np.sort(rows)))


def own_rows(labels: Array, positions: IndexArray) -> IndexArray:
    """Return the rows at positions of our list.

    Raises:
        PeerError: the sentinels are not all among them, or padding is.
    """
    found = labels[positions]
    if (found == PADDING).any() or int((found <= FIRST_SENTINEL).sum()) != SENTINELS:
        raise PeerError("the sentinels are not where we put them: our list lost its order or its keys differ")
    return freeze(found[found >= 0])


# -- how the machines ask for them --------------------------------------------------------------------------


def preparation(seat: Seat, secret: bytes) -> Compute:
    """Ask for our list.

    Raises:
        LocalProtocolError: the secret is not 32 bytes.
    """
    if len(secret) != SECRET_BYTES:
        raise LocalProtocolError(
            f"alignment needs {SECRET_BYTES} secret bytes of the agent, not {len(secret)}"
        )
    return Compute(PREPARE, PREPARE, Preparation(seat.session, secret, seat.pad_to, seat.block), 0)


def blinding(block: Block, secret: bytes) -> Compute:
    """Ask for a block of our list under our key; ``block`` holds its digests."""
    return Compute(f"{BLIND}/{block.index}", BLIND, Exponents(block.points, private_key(secret)), 0)


def raising(task_id: str, points: Array, secret: bytes) -> Compute:
    """Ask for a block of another's list under our key too."""
    return Compute(task_id, RAISE, Exponents(points, private_key(secret)), 0)


# All but the first may run in any process.
TASKS: dict[str, TaskSpec] = {
    PREPARE: TaskSpec(prepare, Preparation, Prepared, heavy=True),
    BLIND: TaskSpec(blind, Exponents, Points, uses_bench=False, heavy=True),
    RAISE: TaskSpec(raise_block, Exponents, Points, uses_bench=False, heavy=True),
    MATCH: TaskSpec(match, Pairing, Matched, uses_bench=False, heavy=True),
    INSPECT: TaskSpec(inspect, Inspection, Inspected, uses_bench=False, heavy=True),
    COUNT: TaskSpec(tally, Tally, Counted, uses_bench=False, heavy=True),
    SETTLE: TaskSpec(settle, Answer, Rows, uses_bench=False, heavy=True),
}
