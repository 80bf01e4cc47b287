"""What does each role get to see in a whole run? Only what docs/alignment.md allows.

The test knows all keys, so it can name every point that travels: whose key it is under, and which id it is of.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache, reduce
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hansa.protocols.alignment import messages
from hansa.protocols.alignment.curve import blind, hash_to_curve, raised
from hansa.protocols.alignment.ids import id_digests, sentinel_digests
from hansa.protocols.alignment.job import SENTINELS
from hansa.protocols.alignment.messages import Blinded, Passed, Positions, Raised, Settled, Tagged
from hansa.protocols.alignment.rehearsal import HUB, rehearse
from hansa.protocols.alignment.secret import private_key
from hansa.protocols.alignment.spec import ALIGNMENT, OVER_THRESHOLD
from hansa.protocols.machine import Brief
from hansa.protocols.model import Array
from tests.protocols.alignment.parts import (
    AT_TWO,
    BLOCKS,
    COMMON,
    OVER_TWO,
    PAIR,
    RING,
    Settings,
    Transcript,
    names,
    play,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "alignment.md"
SENTINEL_NAMES = tuple(f"sentinel {number}" for number in range(SENTINELS))

Meaning = tuple[str, frozenset[str]]  # of a point: which id, under whose keys


class Oracle:
    """Somebody who knows all keys and ids."""

    def __init__(self, ids: Mapping[str, Sequence[str]], settings: Settings, session: bytes) -> None:
        briefs: dict[str, Brief] = rehearse(ids, settings).briefs
        self.keys = {party: private_key(briefs[party].secret) for party in ids}
        everybody = sorted({each for party in ids.values() for each in party})
        digests = np.concatenate([id_digests(everybody, session), sentinel_digests(session, SENTINELS)])
        self.known: dict[bytes, Meaning] = {}
        named = (*everybody, *SENTINEL_NAMES)
        for name, digest in zip(named, digests, strict=True):
            self.known[hash_to_curve(digest.tobytes())] = (name, frozenset())
            self.known[digest.tobytes()] = (name, frozenset())
        for count in range(1, len(ids) + 1):
            for holders in combinations(sorted(ids), count):
                chain = [self.keys[each] for each in holders]
                points = reduce(raised, chain[1:], blind(digests, chain[0]))
                for name, point in zip(named, points, strict=True):
                    self.known[point.tobytes()] = (name, frozenset(holders))

    def meanings(self, points: Array) -> list[Meaning]:
        """Return what each point is; padding would be missing, so these runs have none."""
        return [self.known[point.tobytes()] for point in points]


def session_of(run: Transcript) -> bytes:
    return bytes(run.states[HUB][0].seat.session)


def checked(message: Any, session: bytes) -> Any:
    """Check what holds for every message: its session is the public one, and it has no other bytes but points."""
    assert message.session == session
    for each in fields(message):
        value = getattr(message, each.name)
        if isinstance(value, np.ndarray):
            assert each.name in ("points", "positions")
        elif isinstance(value, bytes):
            assert each.name in ("session", "digest")
    return message


@cache
def pair_run(receiver: str) -> Transcript:
    return play(PAIR, replace(BLOCKS, receiver=receiver))


@pytest.mark.parametrize("receiver", ["", "ann", "bob"])
def test_two_parties_see_each_others_points_under_the_others_key_and_theirs_under_both(receiver: str) -> None:
    run = pair_run(receiver)
    oracle = Oracle(PAIR, replace(BLOCKS, receiver=receiver), session_of(run))
    for me, other in (("ann", "bob"), ("bob", "ann")):
        own_order: list[str] = []
        returned: list[str] = []
        for message in run.told(me):
            checked(message, session_of(run))
            meanings = oracle.meanings(message.points)
            match message:
                case Blinded():
                    assert {keys for _, keys in meanings} == {frozenset({other})}
                    assert {name for name, _ in meanings} <= {*PAIR[other], *SENTINEL_NAMES}
                case Raised():
                    assert receiver in ("", me)
                    assert {keys for _, keys in meanings} == {frozenset({me, other})}
                    returned += [name for name, _ in meanings]
                case _:
                    raise AssertionError(f"{me} got {message}")
        for message in run.told(other):
            if isinstance(message, Blinded):
                own_order += [name for name, _ in oracle.meanings(message.points)]
        assert returned == (own_order if receiver in ("", me) else [])


@pytest.mark.parametrize("receiver", ["ann", "bob"])
def test_of_two_the_one_that_is_not_to_learn_holds_nothing_to_compare(receiver: str) -> None:
    run = pair_run(receiver)
    me = "bob" if receiver == "ann" else "ann"
    other = receiver
    own: set[bytes] = set()
    others: set[bytes] = set()
    for who, task, result in run.tasks:
        if who == me and task.function == "blind":
            own |= {point.tobytes() for point in result.points}
            own |= {point.tobytes() for point in raised(result.points, task.inputs.key)}  # type: ignore[attr-defined]
        if who == me and task.function == "raise":
            others |= {point.tobytes() for point in result.points}
    for message in run.told(me):
        others |= {point.tobytes() for point in message.points}
    assert own
    assert others
    assert not own & others
    assert not hasattr(run.results[me], "rows")
    assert set(names(PAIR, run, other)) == COMMON


@pytest.mark.parametrize(("receiver", "rows"), [("", 2), ("ann", None)])
def test_the_aggregator_of_two_sees_last_words_only(receiver: str, rows: int | None) -> None:
    run = pair_run(receiver)
    oracle = Oracle(PAIR, replace(BLOCKS, receiver=receiver), session_of(run))
    assert len(run.told(HUB)) == 2
    for message in run.told(HUB):
        assert isinstance(checked(message, session_of(run)), Settled)
        assert message.rows == rows
        assert message.digest not in oracle.known
    assert not [task for who, task, _ in run.tasks if who == HUB]


@pytest.mark.parametrize("settings", [BLOCKS, replace(BLOCKS, receiver="cat"), OVER_TWO])
def test_in_a_ring_parties_see_points_under_the_keys_so_far_and_the_aggregator_under_all(
    settings: Settings,
) -> None:
    run = play(RING, settings)
    oracle = Oracle(RING, settings, session_of(run))
    parties = sorted(RING)
    for sender, recipient, message in run.messages:
        checked(message, session_of(run))
        match message:
            case Passed(_, owner, _, _, points):
                at, to = parties.index(owner), parties.index(sender)
                so_far = frozenset(parties[(at + hop) % 3] for hop in range((to - at) % 3 + 1))
                assert recipient in parties
                assert recipient not in so_far
                assert {keys for _, keys in oracle.meanings(points)} == {so_far}
                assert {name for name, _ in oracle.meanings(points)} <= {*RING[owner], *SENTINEL_NAMES}
            case Tagged(_, owner, _, _, points):
                assert recipient == HUB
                assert {keys for _, keys in oracle.meanings(points)} == {frozenset(parties)}
                assert {name for name, _ in oracle.meanings(points)} <= {*RING[owner], *SENTINEL_NAMES}
            case Positions(_, positions):
                assert sender == HUB
                wanted = COMMON if settings is not OVER_TWO else AT_TWO[recipient]
                assert told_ids(run, oracle, recipient, positions) == {*wanted, *SENTINEL_NAMES}
            case Settled(_, rows, digest):
                assert (recipient, rows, digest) == (HUB, None, b"")
            case _:
                raise AssertionError(f"{sender} sent {message}")
    told = {recipient for _, recipient, message in run.messages if isinstance(message, Positions)}
    assert told == ({"cat"} if getattr(settings, "receiver", "") else set(parties))


def told_ids(run: Transcript, oracle: Oracle, party: str, positions: Array) -> set[str]:
    """Return the ids at positions of a party's list as it first sent it."""
    blocks = {
        message.block: message.points
        for sender, _, message in run.messages
        if isinstance(message, Passed) and sender == message.owner == party
    }
    order = oracle.meanings(np.concatenate([blocks[number] for number in sorted(blocks)]))
    return {order[place][0] for place in positions}


def test_lists_are_shuffled_otherwise_in_every_job() -> None:
    orders = []
    for seed in (1, 2):
        run = play(PAIR, BLOCKS, seed=seed)
        prepared = next(out for who, task, out in run.tasks if (who, task.function) == ("ann", "prepare"))
        orders.append(prepared.labels.tolist())
    assert orders[0] != orders[1]
    assert [label for label in orders[0] if label >= 0] != list(range(5))


def test_padding_looks_like_anybody() -> None:
    run = play(PAIR, replace(BLOCKS, pad_to=40))
    p = 2**255 - 19
    for message in run.told("bob"):
        for point in message.points:
            u = int.from_bytes(point.tobytes(), "little")
            assert pow(u**3 + 486_662 * u**2 + u, (p - 1) // 2, p) == 1  # on the curve, not on its twist


def test_no_message_or_result_holds_an_id_or_a_secret() -> None:
    for ids, settings in ((PAIR, BLOCKS), (RING, OVER_TWO)):
        run = play(ids, settings)
        briefs = rehearse(ids, settings).briefs
        secrets = {brief.secret for brief in briefs.values() if brief.secret}
        secrets |= {private_key(secret) for secret in secrets}
        held = [message for _, _, message in run.messages] + list(run.results.values())
        for record in held:
            for each in fields(record):
                value = getattr(record, each.name)
                raw = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
                assert not any(secret in raw or repr(secret).encode() in raw for secret in secrets)
                assert not any(name.encode() in raw for party in ids.values() for name in party)


def test_the_document_names_every_field_of_every_message_and_no_other() -> None:
    rows: dict[str, set[str]] = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        found = re.match(r"\| `(\w+)` \|[^|]*\|([^|]*)\|", line)
        if found:
            rows.setdefault(found[1], set()).update(re.findall(r"`(\w+)`", found[2]))
    listed = {*ALIGNMENT.messages, *OVER_THRESHOLD.messages}
    assert rows.keys() == {kind.__name__ for kind in listed}
    for kind in listed:
        assert rows[kind.__name__] == {each.name for each in fields(kind)}, kind.__name__
    assert set(messages.Message.__args__) == listed
