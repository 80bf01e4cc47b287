"""What does each role get to see in a whole run? Only what docs/vertical.md allows.

The test holds the key, so it can say of everything that travels what it is.
"""

import re
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hansa.protocols.crypto import EncryptedArray, PublicKey, SecretKey
from hansa.protocols.crypto.decryption import signed
from hansa.protocols.crypto.integers import inverse, to_bytes
from hansa.protocols.machine import Valuation
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.pairwise import decode64, public_key
from hansa.protocols.vertical import messages
from hansa.protocols.vertical.concluding import MASK_KEY, part_digest
from hansa.protocols.vertical.job import Seat, drawn_seed
from hansa.protocols.vertical.messages import (
    Closed,
    EpochClosed,
    HeldOut,
    Key,
    LossSum,
    LossTerm,
    Masked,
    MaskKey,
    Opened,
    Part,
    Ready,
    Residual,
    Scores,
)
from hansa.protocols.vertical.outcome import EpochEnded
from hansa.protocols.vertical.rehearsal import HUB, rehearse
from hansa.protocols.vertical.rows import held_out_rows, own_rows
from hansa.protocols.vertical.spec import LINEAR
from hansa.protocols.vertical.tasks import masking_residues
from tests.protocols.transcript import Transcript, told
from tests.protocols.vertical.parts import (
    GUEST,
    HOST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    SECOND,
    Settings,
    labels,
    learned,
    table,
    with_settings,
)
from tests.protocols.vertical.purse import Purse

DOCUMENT = Path(__file__).parents[3] / "docs" / "vertical.md"
ROWS, HELD_OUT = 13, 3
PARTIES = (GUEST, HOST, SECOND)
JOBS: dict[str, Any] = {
    "linear": with_settings(LINEAR_SMALL, epochs=2, batch=6, holdout=0.19),
    "logistic": with_settings(LOGISTIC_SMALL, epochs=2, batch=6, holdout=0.19, show_loss=False),
}
VALUED = {
    f"{job}, valued": settings for job, settings in JOBS.items()
}  # where each part's contribution is valued
MASKED = pytest.mark.parametrize("job", JOBS)
BARE = pytest.mark.parametrize("job", VALUED)
EVERY = pytest.mark.parametrize("job", JOBS | VALUED)


class Oracle:
    """Somebody who holds the key, all rows and all coefficients."""

    def __init__(self, job: str) -> None:
        self.settings: Settings = (JOBS | VALUED)[job]
        self.valued = job in VALUED
        self.columns, score = table(ROWS + HELD_OUT, hosts=2)
        self.y = labels(score, self.settings)
        laid = rehearse(self.columns, self.y, self.settings, valuing=Purse() if self.valued else None)
        self.run: Transcript = told(laid)
        self.key = SecretKey.from_bytes(self.run.asked(HUB, "make-key")[0][1].secret)
        self.public: PublicKey = self.key.public
        self.secrets = {name: laid.briefs[name].secret for name in PARTIES}
        self.seats = {name: Seat.take(laid.briefs[name], laid.briefs[name].role) for name in PARTIES}
        self.rows = {name: own_rows(self.seats[name], laid.benches[name]) for name in PARTIES}
        self.held_out = {name: held_out_rows(self.seats[name], laid.benches[name]) for name in PARTIES}
        self.preparations = {name: laid.benches[name].preparation() for name in PARTIES}
        self.plan = self.seats[GUEST].plan(ROWS)
        self.thetas = {
            (name, inputs.place.round): inputs.theta
            for name in PARTIES
            for inputs, _ in self.run.asked(name, "seal")
        }

    def numbers(self, frame: Array) -> FloatArray:
        return EncryptedArray.from_bytes(frame.data, self.public).decrypt(self.key)

    def ciphertexts(self, frame: Array) -> list[int]:
        numbers: list[int] = (
            EncryptedArray.from_bytes(frame.data, self.public).ciphertexts.reshape(-1).tolist()
        )
        return numbers

    def share(self, name: str, message: Scores | Residual) -> FloatArray:
        rows = self.plan.block_rows(message.round % self.plan.batches, message.block)
        slope = self.seats[name].slope
        return np.asarray(slope * (self.rows[name].X[rows] @ self.thetas[name, message.round]))

    def residuals(self, message: Scores | Residual) -> FloatArray:
        rows = self.plan.block_rows(message.round % self.plan.batches, message.block)
        weight = 0.5 if self.seats[GUEST].logistic else 1.0
        total = sum((self.share(name, message) for name in PARTIES), -weight * self.rows[GUEST].targets[rows])
        return np.asarray(total)

    def final(self, name: str) -> FloatArray:
        """Return a party's last coefficients, the guest's intercept among them."""
        return learned(self.run.results[name], name, self.settings)

    def held_out_scores(self, *names: str) -> FloatArray:
        """Return what some parties together score the rows held out."""
        return np.asarray(sum(self.held_out[name].X @ self.final(name) for name in names))

    def gradient(self, name: str, round_: int) -> FloatArray:
        batch = round_ % self.plan.batches
        parts = []
        for block in range(self.plan.blocks(batch)):
            d = self.residuals(Residual(b"", round_, block, np.zeros(0, np.uint8)))
            parts.append(self.rows[name].X[self.plan.block_rows(batch, block)].T @ d)
        return np.asarray(sum(parts))


@cache
def oracle(job: str) -> Oracle:
    return Oracle(job)


@EVERY
def test_every_message_says_what_the_document_allows_to_whom_it_allows(job: str) -> None:
    all_, kinds = oracle(job), set()
    run = all_.run
    for sender, recipient, message in run.messages:
        kinds.add(type(message))
        assert message.session == all_.seats[GUEST].session
        match message:
            case MaskKey(_, key):
                assert {sender, recipient} < {*PARTIES}
                assert key == public_key(drawn_seed(all_.secrets[sender], MASK_KEY))
            case Ready(_, rows, held_out, columns, kept):
                assert (recipient, rows, held_out, kept) == (HUB, ROWS, HELD_OUT, (0,))
                assert columns == all_.columns[sender].shape[1]
            case Key(_, public, rows, held_out, columns, epochs, over):
                assert (sender, public, rows, held_out) == (HUB, all_.public.to_bytes(), ROWS, HELD_OUT)
                assert columns == {name: X.shape[1] for name, X in all_.columns.items()}
                assert (epochs, over) == (0, False)
            case Scores():
                assert sender in (HOST, SECOND)
                assert recipient == GUEST
                assert all_.numbers(message.frame) == pytest.approx(all_.share(sender, message), abs=1e-9)
            case Residual():
                assert (sender, recipient in (HOST, SECOND)) == (GUEST, True)
                assert all_.numbers(message.frame) == pytest.approx(all_.residuals(message), abs=1e-9)
            case Masked():
                assert recipient == HUB
            case Opened():
                assert (sender, recipient in PARTIES) == (HUB, True)
            case LossTerm():
                assert (sender in (HOST, SECOND), recipient) == (True, GUEST)
            case LossSum():
                assert (sender, recipient) == (GUEST, HUB)
            case EpochClosed():
                assert (sender, message.loss is None) == (HUB, not all_.settings.show_loss)
            case HeldOut():
                assert recipient == HUB
                assert message.labels.tolist() == all_.held_out[sender].targets.tolist()
                assert (sender == GUEST) == (len(message.labels) == HELD_OUT)
                shown = all_.run.results[sender].intercept if all_.valued else 0.0
                assert message.intercept == shown
            case Part():
                assert (sender, recipient == HUB) == (sender, True)
                result = all_.run.results[sender]
                parted = result.salt, result.theta, result.intercept, all_.preparations[sender]
                assert message.digest == part_digest(*parted)
            case Closed():
                assert (sender, message.rows) == (HUB, HELD_OUT)
                assert message.parts == {who: each.digest for who, _, each in run.of(Part)}
                assert len(message.deciles) == (9 if recipient == GUEST else 0)
            case _:
                raise AssertionError(f"{sender} sent {message}")
    assert kinds == {*LINEAR.messages} - {messages.Waiting} - ({MaskKey} if all_.valued else set())


@MASKED
def test_of_the_rows_held_out_the_arbiter_learns_the_sum_of_scores_and_nobodys_share(job: str) -> None:
    all_ = oracle(job)
    shares = {sender: each.shares for sender, _, each in all_.run.of(HeldOut)}
    bits = all_.seats[GUEST].held_out_bits()
    scores = all_.held_out_scores(*PARTIES)
    assert decode64(sum(shares.values(), np.zeros(HELD_OUT, np.uint64)), bits) == pytest.approx(
        scores, abs=1e-8
    )
    for size in (1, 2):
        for some in combinations(PARTIES, size):
            part = decode64(sum((shares[name] for name in some), np.zeros(HELD_OUT, np.uint64)), bits)
            # 64 random bits, for the most part far beyond any score
            assert np.abs(part - all_.held_out_scores(*some)).min() > all_.settings.score_limit
    [guests] = [each for _, to, each in all_.run.of(Closed) if to == GUEST]
    assert guests.deciles == pytest.approx(np.quantile(scores, np.arange(1, 10) / 10), abs=1e-8)


@BARE
def test_where_parts_are_valued_the_arbiter_learns_each_partys_score_to_a_sixteenth_and_no_more(
    job: str,
) -> None:
    all_ = oracle(job)
    [valued] = [fact for _, fact in all_.run.facts if isinstance(fact, Valuation)]
    for sender, _, message in all_.run.of(HeldOut):
        columns = all_.columns[sender][ROWS:]
        scores = columns @ all_.run.results[sender].theta
        step = float(np.std(scores)) / 16
        sent = decode64(message.shares, all_.seats[sender].held_out_bits())
        assert sent == pytest.approx(np.rint(scores / step) * step, abs=2.0**-31)
    assert set(valued.shares) == {*PARTIES}
    assert len(valued.values) == 2 ** len(PARTIES)
    for value in valued.values:  # what everybody is told of each coalition has 20 bits
        assert (np.frexp(value)[0] * 2**20).is_integer()


@EVERY
def test_what_the_arbiter_opens_is_a_gradient_under_residues_that_it_does_not_know(job: str) -> None:
    all_ = oracle(job)
    width, n = all_.public.ciphertext_bytes // 2, all_.public.n
    opened = {(to, each.round): each.residues for _, to, each in all_.run.of(Opened)}
    assert len(opened) == len(all_.run.of(Opened)) == len(PARTIES) * 2 * all_.plan.batches
    largest = 0
    for sender, _, message in all_.run.of(Masked):
        array = EncryptedArray.from_bytes(message.frame, all_.public)
        assert array.bound is None
        residues = [int(each) for each in array.decrypt_residues(all_.key).tolist()]
        assert opened[sender, message.round] == b"".join(to_bytes(each, width) for each in residues)
        masks = masking_residues(all_.secrets[sender], message.round, all_.public, len(residues)).tolist()
        plain = signed([(each - mask) % n for each, mask in zip(residues, masks, strict=True)], all_.public)
        size = all_.plan.size(message.round % all_.plan.batches)
        expected = all_.gradient(sender, message.round)
        packing = all_.seats[sender].packing(all_.public, size)
        gradient = np.array(packing.unpack_integers(plain, len(expected)), dtype=float)
        scale = 2.0 ** (all_.settings.feature_bits + all_.settings.score_bits)
        assert gradient / scale == pytest.approx(expected, abs=1e-5)
        assert not {*residues} & {*plain}
        largest = max(largest, *residues)
    assert largest.bit_length() > all_.public.bits - 8  # masks reach over the whole range


@EVERY
def test_the_arbiter_opens_one_frame_for_each_party_and_round_and_one_loss_for_each_epoch(job: str) -> None:
    run = oracle(job).run
    asked = [task.task_id for who, task, _ in run.tasks if who == HUB]
    rounds = 2 * oracle(job).plan.batches
    expected = [
        "make-key",
        "value" if oracle(job).valued else "appraise",
        *(f"open-loss/{epoch}" for epoch in range(2)),
    ]
    expected += [f"open/{number}/{party}" for number in range(rounds) for party in PARTIES]
    assert sorted(asked) == sorted(expected)
    losses = [out.loss / ROWS for _, out in run.asked(HUB, "open-loss")]
    shown = [fact.loss for _, fact in run.facts if isinstance(fact, EpochEnded)]
    assert shown == (pytest.approx(losses) if oracle(job).settings.show_loss else [None, None])


def contents(value: object) -> list[object]:
    """Return every plain value inside a record, with all its parts."""
    if is_dataclass(value):
        return [each for part in fields(value) for each in contents(getattr(value, part.name))]
    if isinstance(value, tuple | list):
        return [each for part in value for each in contents(part)]
    if isinstance(value, dict):
        return [each for part in value.items() for each in contents(part)]
    return [value]


@EVERY
def test_nobody_ever_holds_what_another_keeps(job: str) -> None:
    """All states, all messages received, and all inputs and results of tasks, searched for others' secrets."""
    all_ = oracle(job)
    run = all_.run
    width = all_.public.ciphertext_bytes // 2
    key_secrets = [to_bytes(int(prime), width // 2) for prime in (all_.key.p, all_.key.q)]
    for name in (*PARTIES, HUB):
        held = [*run.states[name], *(each for _, to, each in run.messages if to == name)]
        held += [part for who, task, out in run.tasks if who == name for part in (task.inputs, out)]
        values = [each for record in held for each in contents(record)]
        raw = b"\x00".join(each for each in values if isinstance(each, bytes))
        arrays = {each.tobytes() for each in values if isinstance(each, np.ndarray)}
        others = [other for other in PARTIES if other != name]
        assert name == HUB or not any(secret in raw for secret in key_secrets)
        assert not any(all_.secrets[other] in raw for other in others)
        assert not any(drawn_seed(all_.secrets[other], MASK_KEY) in raw for other in others)
        assert not any(run.results[other].salt in raw for other in others)
        thetas = {all_.thetas[other, 1].tobytes() for other in others}
        assert not thetas & arrays
        sums = {part.tobytes() for _, _, each in run.of(HeldOut) for part in (each.shares, each.labels)}
        asked = {each.frame.tobytes() for _, _, each in [*run.of(Masked), *run.of(LossSum)]}
        assert name != HUB or arrays == sums | asked
        floats = [each for each in values if isinstance(each, float)]
        settings = {each for each in contents(all_.settings) if isinstance(each, float)}
        losses = {out.loss for _, out in run.asked(HUB, "open-loss")}
        shown = {fact.loss for _, fact in run.facts if isinstance(fact, EpochEnded)} if name != HUB else set()
        if name == HUB:
            constant = {
                each for state in run.states[HUB] for each in contents(state) if isinstance(each, float)
            }
            assert len(constant - settings) <= len(losses) + all_.valued  # the intercept
        else:
            [last] = [each for _, to, each in run.of(Closed) if to == name]
            prepared = {each for each in contents(all_.preparations[name]) if isinstance(each, float)}
            figures = {last.loss, last.score, *last.deciles}
            assert {*floats} <= settings | shown | prepared | figures | {run.results[name].intercept}


@EVERY
def test_the_public_key_alone_reads_no_ciphertext_that_travels(job: str) -> None:
    """c = 1 + m·n would give m away, and so would two ciphertexts with the same mask, divided."""
    all_ = oracle(job)
    n = all_.public.n
    framed = (Scores, Residual, Masked, LossTerm, LossSum)
    frames = {
        each.frame.tobytes(): each.frame for _, _, each in all_.run.messages if isinstance(each, framed)
    }
    masks = [c % n for frame in frames.values() for c in all_.ciphertexts(frame)]
    assert len(masks) > 50
    assert 1 not in masks
    assert len(set(masks)) == len(masks)


@EVERY
def test_no_host_reads_what_others_add_by_dividing_by_ciphertexts_that_it_knows(job: str) -> None:
    all_ = oracle(job)
    n = all_.public.n
    for _, _, message in all_.run.of(Residual):
        sent = {
            sender: all_.ciphertexts(each.frame)
            for sender, _, each in all_.run.of(Scores)
            if (each.round, each.block) == (message.round, message.block)
        }
        for row, c in enumerate(all_.ciphertexts(message.frame)):
            own, other = sent[HOST][row], sent[SECOND][row]
            for known in (own, other, own * other):
                assert c * inverse(known, n) % n != 1


@EVERY
def test_no_repr_shows_a_secret_a_number_or_a_key(job: str) -> None:
    all_ = oracle(job)
    held = [state for states in all_.run.states.values() for state in states]
    held += [message for _, _, message in all_.run.messages]
    held += [part for _, task, out in all_.run.tasks for part in (task.inputs, out)]
    shown = " ".join(map(repr, [*held, *all_.run.results.values()]))
    for secret in (*all_.secrets.values(), all_.key.to_bytes()):
        assert repr(secret)[2:-1] not in shown
    assert "array(" not in shown


def test_the_document_names_every_field_of_every_message_and_no_other() -> None:
    rows: dict[str, set[str]] = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        found = re.match(r"\| `(\w+)` \|[^|]*→[^|]*\|([^|]*)\|", line)
        if found:
            rows.setdefault(found[1], set()).update(re.findall(r"`(\w+)`", found[2]))
    assert rows == {kind.__name__: {each.name for each in fields(kind)} for kind in LINEAR.messages}
    assert set(messages.Message.__args__) == {*LINEAR.messages}
