"""What takes time, or looks at our rows: listing and finding ids, and our part of the scores."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.alignment.ids import normalised
from hansa.protocols.digest import freeze
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.inference.job import MOST_ID_BYTES, MOST_ID_CHARS, Seat, mask_secret
from hansa.protocols.inference.part import OwnPart
from hansa.protocols.machine import Compute, TaskSpec, Workbench
from hansa.protocols.model import Array, BoolArray, FloatArray
from hansa.protocols.pairwise import encode64, masks
from hansa.protocols.vertical.job import hashed

LIST = "list"
FIND = "find"
SHARE = "share"

PURPOSE_DOMAIN = b"hansa/inference/scores/1\x00"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which rows are to be scored: ours all, if they are no more than ``most_rows``."""

    part: OwnPart
    most_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """Our rows.

    Attributes:
        rows: how many there are.
        ids: theirs, as all parties write them; none if there are more rows than the job allows, or than fit into
            one message.
        known: (ids,) bool, which of them can be scored here.
    """

    rows: int
    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)


def list_rows(inputs: Listing, bench: Workbench, seed: int) -> Listed:
    """Read our rows' ids.

    Raises:
        LocalProtocolError: this agent lends no rows, or with other columns than the model's; or a row's id is too
            long to be asked for.
        PreparationError: a column is not what it was at the training.
    """
    texts, first_row = bench.ids()
    fits = 0 < len(texts) <= inputs.most_rows
    ids = tuple(normalised(text) for text in texts) if fits else ()
    for row, text in enumerate(ids, first_row):
        if len(text) > MOST_ID_CHARS:
            raise LocalProtocolError(
                f"row {row}: its id has {len(text)} characters; hosts are asked for {MOST_ID_CHARS} at most"
            )
    if sum(len(each.encode("utf-8", "replace")) for each in ids) > MOST_ID_BYTES:
        ids = ()
    known = _features(bench, inputs.part, ids)[0] if ids else np.zeros(0, np.bool_)
    return Listed(len(texts), ids, freeze(known))


@dataclass(frozen=True, slots=True)
class Search:
    """Which of these rows do we have?"""

    part: OwnPart
    ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """(ids,) bool, those that we have."""

    known: Array = field(repr=False)


def find_rows(inputs: Search, bench: Workbench, seed: int) -> Found:
    """Look up which rows we have.

    Raises:
        PeerError: a row was asked for twice. A guest that moves its own part of the score from one place to the
            other would find out by one batch of labels what takes it many, each on the ledger.
        LocalProtocolError, PreparationError: as in ``list_rows``.
    """
    if len({normalised(each) for each in inputs.ids}) < len(inputs.ids):
        raise PeerError("a row was asked for twice")
    return Found(freeze(_features(bench, inputs.part, inputs.ids)[0]))


@dataclass(frozen=True, slots=True)
class Scoring:
    """Our part of the score of these rows, masked with the peers whose keys these are; unmasked without any."""

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    ids: tuple[str, ...] = field(repr=False)
    keys: dict[str, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """(rows,) uint64."""

    numbers: Array = field(repr=False)


def purpose(ids: Sequence[str]) -> str:
    """Return what masks are for: just these rows, in this order.

    A guest that asked one host for other rows than another would get sums from which it learns how a single host's
    parts differ. Masks for different rows don't cancel.
    """
    return hashed(PURPOSE_DOMAIN, tuple(ids)).hex()


def share_scores(inputs: Scoring, bench: Workbench, seed: int) -> Numbers:
    """Multiply our columns with our coefficients, encode, mask.

    Raises:
        LocalProtocolError: a row is gone that was there before, or as in ``list_rows``.
        EncodingError: a part of a score is beyond the job's limit; names the row's place.
        PeerError: a peer's key is none.
    """
    seat, part = inputs.seat, inputs.part
    settings = seat.settings
    known, features = _features(bench, part, inputs.ids)
    if not known.all():
        raise LocalProtocolError("rows that this agent knew are gone from its data set")
    scores = features @ part.theta + part.intercept
    numbers = encode64(scores, settings.score_bits, settings.score_limit)
    if inputs.keys:
        secret = mask_secret(inputs.secret)
        numbers += masks(secret, seat.me, inputs.keys, seat.session, purpose(inputs.ids), len(numbers))
    return Numbers(freeze(numbers))


def _features(bench: Workbench, part: OwnPart, ids: Sequence[str]) -> tuple[BoolArray, FloatArray]:
    """Return which rows the bench has, and their features, of as many columns as we have coefficients."""
    known, features = bench.lookup(ids, part.preparation)
    if known.shape != (len(ids),) or features.shape != (np.count_nonzero(known), len(part.theta)):
        raise LocalProtocolError(
            f"{features.shape[1]} columns come of the data set, the model has {len(part.theta)} coefficients"
        )
    return known, features


def listing(seat: Seat, part: OwnPart) -> Compute:
    """Return the effect that reads our rows' ids."""
    return Compute(LIST, LIST, Listing(part, seat.settings.most_rows), 0)


def searching(part: OwnPart, ids: tuple[str, ...]) -> Compute:
    """Return the effect that looks up which rows we have."""
    return Compute(FIND, FIND, Search(part, ids), 0)


def scoring(
    seat: Seat, secret: bytes, part: OwnPart, ids: tuple[str, ...], keys: dict[str, bytes]
) -> Compute:
    """Return the effect that makes our share."""
    return Compute(SHARE, SHARE, Scoring(seat, secret, part, ids, keys), 0)


TASKS: dict[str, TaskSpec] = {
    LIST: TaskSpec(list_rows, Listing, Listed),
    FIND: TaskSpec(find_rows, Search, Found),
    SHARE: TaskSpec(share_scores, Scoring, Numbers),
}
