"""What does each role get to see in a whole run? Only what docs/inference.md allows.

The test knows everybody's rows, coefficients and secrets, so it can say of everything that travels what it is.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hansa.protocols.inference import messages
from hansa.protocols.inference.job import InferenceSettings, Seat, mask_secret
from hansa.protocols.inference.messages import Answer, Ask, Chosen, Due, Known, MaskKey, Share
from hansa.protocols.inference.rehearsal import Rehearsal, rehearse
from hansa.protocols.inference.spec import INFERENCE
from hansa.protocols.inference.tasks import purpose
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.pairwise import UintArray, decode64, encode64, masks, public_key
from tests.protocols.inference.parts import (
    BANK,
    DECILE,
    DECILES,
    HUB,
    IDS,
    LABEL,
    ROWS,
    SCORE,
    SHOP,
    TELCO,
    UNKNOWN,
    bench,
    coefficients,
    common,
    laid_out,
    partial,
    plain,
    play,
    tables,
    truth,
)
from tests.protocols.transcript import Transcript

DOCUMENT = Path(__file__).parents[3] / "docs" / "inference.md"
# By name: settings, number of hosts.
JOBS: dict[str, tuple[InferenceSettings, int]] = {
    "score": (SCORE, 2),
    "score of one host": (SCORE, 1),
    "label": (LABEL, 2),
    "label of one host": (LABEL, 1),
    "decile": (DECILE, 2),
}
EVERY = pytest.mark.parametrize("job", JOBS)


class Oracle:
    """Somebody who holds all secrets, all rows and all coefficients."""

    def __init__(self, job: str) -> None:
        self.settings, hosts = JOBS[job]
        self.laid: Rehearsal = laid_out(self.settings, hosts)
        self.run: Transcript = play(self.laid)
        self.hosts = (SHOP, TELCO)[:hosts]
        self.rows = common(hosts)
        self.secrets = {name: mask_secret(brief.secret) for name, brief in self.laid.briefs.items()}
        self.seat = Seat.take(self.laid.briefs[BANK], "guest")
        self.sharers = (BANK, *self.hosts) if self.settings.arbiter else self.hosts
        self.scores = truth(hosts)[self.rows]

    def own(self, name: str) -> FloatArray:
        """Return a sharer's part of the scores of the common rows."""
        return partial(name)[self.rows]

    def mask(self, name: str) -> UintArray:
        keys = {peer: public_key(self.secrets[peer]) for peer in self.sharers if peer != name}
        if not keys:
            return np.zeros(len(self.rows), np.uint64)
        asked = purpose([IDS[row] for row in self.rows])
        return masks(self.secrets[name], name, keys, self.seat.session, asked, len(self.rows))

    def answers(self) -> list[int]:
        if self.settings.output == "label":
            return [int(u > 0) for u in self.scores]
        return [1 + sum(edge < u for edge in DECILES) for u in self.scores]


@cache
def oracle(job: str) -> Oracle:
    return Oracle(job)


@EVERY
def test_every_message_says_what_the_document_allows_to_whom_it_allows(job: str) -> None:
    all_ = oracle(job)
    settings, collector = all_.settings, all_.settings.arbiter or BANK
    routes: dict[type, list[tuple[str, str]]] = {}
    for sender, recipient, message in all_.run.messages:
        routes.setdefault(type(message), []).append((sender, recipient))
        assert message.session == all_.seat.session
        match message:
            case MaskKey(_, key):
                assert key == public_key(all_.secrets[sender])
            case Ask(_, digest, ids):
                assert (digest, ids) == (b"d" * 32, IDS)
            case Known(_, known):
                assert known.tolist() == [row not in UNKNOWN[sender] for row in range(ROWS)]
            case Chosen(_, positions):
                assert positions.tolist() == all_.rows
            case Due(_, rows, edges):
                assert (rows, edges) == (len(all_.rows), DECILES if settings.output == "decile" else ())
            case Share(_, numbers):
                own = decode64(numbers - all_.mask(sender), settings.score_bits)
                np.testing.assert_allclose(own, all_.own(sender), rtol=0, atol=2.0**-31)
            case Answer(_, values):
                assert values.tolist() == all_.answers()
            case _:
                raise AssertionError(f"{sender} sent {message}")
    pairs = [(one, two) for one in all_.sharers for two in all_.sharers if one != two]
    expected = {
        MaskKey: pairs,
        Ask: [(BANK, host) for host in all_.hosts],
        Known: [(host, BANK) for host in all_.hosts],
        Chosen: [(BANK, host) for host in all_.hosts],
        Share: [(name, collector) for name in all_.sharers],
        Due: [(BANK, HUB)] if settings.arbiter else [],
        Answer: [(HUB, BANK)] if settings.arbiter else [],
    }
    assert {kind: sorted(pairs) for kind, pairs in routes.items()} == {
        kind: sorted(pairs) for kind, pairs in expected.items() if pairs
    }


def summed(shares: list[Array]) -> UintArray:
    """Return the sum modulo 2^64."""
    return np.asarray(np.sum(shares, axis=0, dtype=np.uint64))


def contents(value: object) -> Iterator[object]:
    """Yield every plain value inside a record, with all its parts."""
    if is_dataclass(value):
        for part in fields(value):
            yield from contents(getattr(value, part.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from contents(item)
    elif isinstance(value, dict):
        for pair in value.items():
            yield from contents(pair)
    else:
        yield value


def held_by(run: Transcript, name: str) -> list[object]:
    """Return all that a role ever held, received, gave to a task, got from one, or ended with."""
    held: list[object] = [*run.states[name], *(each for _, to, each in run.messages if to == name)]
    held += [part for who, task, out in run.tasks if who == name for part in (task.inputs, out)]
    return [*held, run.results[name]]


def numbers_of(held: list[object], settings: InferenceSettings) -> list[FloatArray]:
    """Return all arrays and floats of a view as real numbers, shares decoded as if they bore no mask."""
    found = []
    for value in contents(held):
        if isinstance(value, np.ndarray) and value.dtype == np.uint64:
            found.append(decode64(value, settings.score_bits))
        elif isinstance(value, np.ndarray):
            found.append(value.astype(np.float64).reshape(-1))
        elif isinstance(value, float):
            found.append(np.array([value]))
    return found


def shows(numbers: list[FloatArray], wanted: FloatArray) -> bool:
    """Whether an element of what is wanted stands anywhere in a view."""
    return any(np.isclose(each[:, None], wanted[None, :], rtol=0, atol=1e-6).any() for each in numbers)


@EVERY
def test_nobody_ever_holds_what_another_keeps(job: str) -> None:
    """All states, messages received, inputs and results of tasks, searched for others' numbers and secrets."""
    all_ = oracle(job)
    for name in all_.laid.briefs:
        held = held_by(all_.run, name)
        numbers = numbers_of(held, all_.settings)
        raw = b"\x00".join(each for each in contents(held) if isinstance(each, bytes))
        for other in {BANK, *all_.hosts} - {name}:
            assert all_.laid.briefs[other].secret not in raw
            assert all_.secrets[other] not in raw
            part = coefficients()[other]
            assert not shows(numbers, part.theta)
            assert not shows(numbers, part.preparation.apply(tables()[other]).reshape(-1))
            if (job, name) != ("score of one host", BANK):
                assert not shows(numbers, all_.own(other))


@EVERY
def test_scores_are_seen_by_whom_the_document_says(job: str) -> None:
    """The guest that is to have them, the arbiter while it adds them up, and nobody else."""
    all_ = oracle(job)
    settings = all_.settings
    for name in all_.laid.briefs:
        numbers = numbers_of(held_by(all_.run, name), settings)
        chances = 1 / (1 + np.exp(-all_.scores))
        assert shows(numbers, all_.scores) is False, "no state or message holds them: the sum is passed on"
        assert shows(numbers, chances) is (settings.output == "score" and name == BANK)
        shares = [each.numbers for _, to, each in all_.run.of(Share) if to == name]
        if name == HUB:
            assert decode64(summed(shares), settings.score_bits) == pytest.approx(all_.scores, abs=1e-8)
        else:
            assert not shares or (name == BANK and settings.output == "score")


@EVERY
def test_ids_are_seen_by_guest_and_hosts_alone(job: str) -> None:
    all_ = oracle(job)
    for name in all_.laid.briefs:
        texts = {each for each in contents(held_by(all_.run, name)) if isinstance(each, str)}
        assert bool(texts & {*IDS}) == (name != HUB)


def many_runs(settings: InferenceSettings, count: int) -> Iterator[Transcript]:
    """Yield runs of one job on one batch of rows, each with fresh secrets, as agents draw them."""
    parts = coefficients()
    for seed in range(count):
        yield play(rehearse(parts, {name: bench(name) for name in parts}, settings, seed))


@pytest.mark.parametrize("settings", [SCORE, LABEL])
def test_a_share_looks_uniform_to_its_collector_and_its_sum_does_not(settings: InferenceSettings) -> None:
    """Over 150 requests for the same rows: each byte of a share is even, and says nothing of what is in it."""
    shares: dict[str, list[Array]] = {}
    for run in many_runs(settings, 150):
        for sender, _, message in run.of(Share):
            shares.setdefault(sender, []).append(message.numbers)
    assert sorted(shares) == sorted((SHOP, TELCO) if settings.output == "score" else (BANK, SHOP, TELCO))
    for name, each in shares.items():
        drawn = np.stack(each)
        counts = np.bincount(drawn.view(np.uint8).reshape(-1), minlength=256)
        even = drawn.size * 8 / 256
        assert ((counts - even) ** 2 / even).sum() < 400, name  # χ² of 255 degrees of freedom: 255 ± 23
        decoded = plain(drawn, settings)
        assert np.abs(decoded).min(axis=0).min() > 1_000, "not once near a score"
        known = np.tile(partial(name)[common()], len(each))
        assert abs(np.corrcoef(decoded.reshape(-1), known)[0, 1]) < 0.12
        assert len(np.unique(drawn)) == drawn.size, "no mask is used twice"
    sums = summed([np.stack(each) for each in shares.values()])
    expected = sum(partial(name)[common()] for name in shares)
    np.testing.assert_allclose(plain(sums, settings), np.tile(np.asarray(expected), (150, 1)), atol=1e-8)


def test_with_two_hosts_the_guest_can_not_tell_one_division_of_the_score_from_another() -> None:
    """For what it sees, whatever part it guesses for the shop, there are masks that explain it."""
    all_ = oracle("score")
    seen = {sender: message.numbers for sender, _, message in all_.run.of(Share)}
    assert not [each for _, to, each in all_.run.of(MaskKey) if to == BANK], "it holds no key of the masks"
    hosts = all_.scores - all_.own(BANK)
    for guess in (all_.own(SHOP), np.zeros(len(hosts)), hosts, 1_000.0 - hosts):
        mask = seen[SHOP] - encode64(guess, SCORE.score_bits, SCORE.score_limit)
        rest = plain(seen[TELCO] + mask, SCORE)  # what the telco's part then is
        np.testing.assert_allclose(guess + rest, hosts, atol=1e-8)


def test_with_one_host_the_guest_necessarily_learns_the_hosts_part_as_the_document_says() -> None:
    all_ = oracle("score of one host")
    chances = all_.run.results[BANK].values
    learned = np.log(chances / (1 - chances)) - all_.own(BANK)
    np.testing.assert_allclose(learned, all_.own(SHOP), atol=1e-6)
    assert "u_A = u − u_B" in DOCUMENT.read_text(encoding="utf-8")


def test_with_one_host_and_an_arbiter_the_guest_learns_labels_only() -> None:
    all_ = oracle("label of one host")
    received = [message for _, to, message in all_.run.messages if to == BANK]
    assert [type(each) for each in received if not isinstance(each, MaskKey)] == [Known, Answer]
    assert set(received[-1].values.tolist()) <= {0, 1}


def test_two_requests_for_the_same_rows_share_no_mask() -> None:
    first, second = ({who: m.numbers for who, _, m in run.of(Share)} for run in many_runs(SCORE, 2))
    for name in (SHOP, TELCO):
        assert (first[name] != second[name]).all()


def test_a_guest_that_names_fewer_hosts_gets_no_smaller_sum() -> None:
    """With sums of other sets of hosts it would subtract its way to each one's part."""
    parts = coefficients()
    laid = rehearse({BANK: parts[BANK], SHOP: parts[SHOP]}, {name: bench(name) for name in parts}, SCORE)
    with pytest.raises(Exception, match="takes the hosts shop, telco; the job names shop"):
        INFERENCE.role("host").begin(laid.briefs[SHOP])


def test_no_repr_shows_a_secret_a_number_or_an_id() -> None:
    for job in JOBS:
        all_ = oracle(job)
        held = [state for states in all_.run.states.values() for state in states]
        held += [part for _, task, out in all_.run.tasks for part in (task.inputs, out)]
        shown = " ".join(map(repr, [*held, *all_.run.results.values(), *all_.laid.benches.values()]))
        for name, brief in all_.laid.briefs.items():
            assert repr(brief.secret)[2:-1] not in shown
            assert repr(all_.secrets[name])[2:-1] not in shown
        assert "array(" not in shown
        assert "customer" not in shown
        asked = replace(all_.run.of(Ask)[0][2], session=b"")
        assert "customer" not in repr(asked)


def test_the_document_names_every_field_of_every_message_and_no_other() -> None:
    rows: dict[str, set[str]] = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        found = re.match(r"\| `(\w+)` \|[^|]*→[^|]*\|([^|]*)\|", line)
        if found:
            rows.setdefault(found[1], set()).update(re.findall(r"`(\w+)`", found[2]))
    assert rows == {kind.__name__: {each.name for each in fields(kind)} for kind in INFERENCE.messages}
    assert set(messages.Message.__args__) == {*INFERENCE.messages}


def test_the_document_names_every_output() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    kinds: Any = InferenceSettings.__annotations__["output"]
    assert all(f"| `{output}` |" in text for output in kinds.__args__)
