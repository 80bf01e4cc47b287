"""Can anybody read what travels who has all messages, opened, and the public key, but not the secret one?

A ciphertext is (1 + m·n)·mask modulo n², and modulo n the mask alone. Where it is 1 there, m lies open; where it
agrees there with something that an eavesdropper can make from other ciphertexts, the quotient opens the difference.
"""

from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
import pytest

from hansa.protocols.crypto import EncryptedArray, PublicKey, encode
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import CiphertextRefused, NotBlinded
from hansa.protocols.crypto.integers import inverse
from hansa.protocols.vertical import messages
from hansa.protocols.vertical.messages import Key, LossSum, LossTerm, Masked, Residual, Scores
from hansa.protocols.vertical.spec import LINEAR
from tests.protocols.vertical.parts import LINEAR_SMALL, LOGISTIC_SMALL, labels, table, with_settings
from tests.protocols.vertical.play import Transcript, play

ENCRYPTED = {Scores, Residual, Masked, LossTerm, LossSum}
SHORT = 256  # exponents of masks that an eavesdropper tries
JOBS: dict[str, Any] = {
    "linear": with_settings(LINEAR_SMALL, epochs=2, batch=6, holdout=0.19),
    "logistic": with_settings(LOGISTIC_SMALL, epochs=2, batch=6, holdout=0.19, key="standard"),
}
EVERY = pytest.mark.parametrize("job", JOBS)


class Eavesdropper:
    """All messages of a job, and its public key."""

    def __init__(self, job: str) -> None:
        columns, score = table(16, hosts=2)
        self.run: Transcript = play(columns, labels(score, JOBS[job]), JOBS[job])
        self.public = PublicKey.from_bytes(self.run.of(Key)[0][2].public)
        self.n = self.public.n

    def found(self, message: object) -> Iterator[list[int]]:
        """Yield what is encrypted in a message, field by field."""
        for each in fields(message):  # type: ignore[arg-type]  # all messages are dataclasses
            value = getattr(message, each.name)
            if isinstance(value, np.ndarray) and value.dtype == np.uint8:
                try:
                    array = EncryptedArray.from_bytes(value.data, self.public)
                except CiphertextRefused:
                    continue
                yield array.ciphertexts.reshape(-1).tolist()

    def all_of(self, *kinds: type) -> list[int]:
        """Return all ciphertexts in messages of some kinds; what several are sent counts once."""
        sent = [each for _, _, each in self.run.messages if isinstance(each, kinds)]
        return list(dict.fromkeys(c for each in sent for frame in self.found(each) for c in frame))

    def read(self, ciphertext: int, known: int = 1) -> int | None:
        """Return by how much two plaintexts differ, if their masks are the same."""
        quotient = ciphertext * inverse(known, self.public.n_squared) % self.public.n_squared
        return (quotient - 1) // self.n if quotient % self.n == 1 else None


@cache
def listening(job: str) -> Eavesdropper:
    return Eavesdropper(job)


def products(numbers: list[int], modulus: int) -> list[int]:
    """Return the products of all subsets but the empty one."""
    chosen = (each for size in range(1, len(numbers) + 1) for each in combinations(numbers, size))
    return [prod(each) % modulus for each in chosen]


@EVERY
def test_of_all_messages_five_kinds_hold_ciphertexts_and_every_one_of_them_travels(job: str) -> None:
    heard = listening(job)
    assert {type(each) for _, _, each in heard.run.messages} == {*LINEAR.messages} - {messages.Waiting}
    holding = {type(each) for _, _, each in heard.run.messages if any(heard.found(each))}
    assert holding == ENCRYPTED
    for kind in ENCRYPTED:
        sent = [each for _, _, each in heard.run.of(kind)]
        assert all(len(list(heard.found(each))) == 1 for each in sent)


@EVERY
def test_none_says_its_plaintext(job: str) -> None:
    heard = listening(job)
    assert [heard.read(c) for c in heard.all_of(*ENCRYPTED)] == [None] * len(heard.all_of(*ENCRYPTED))


@EVERY
def test_no_two_divided_or_multiplied_say_how_they_differ(job: str) -> None:
    heard = listening(job)
    masks = [c % heard.n for c in heard.all_of(*ENCRYPTED)]
    assert len(masks) > 90
    assert len({*masks}) == len(masks)
    assert not {*masks} & {inverse(each, heard.n) for each in masks}


@EVERY
def test_no_mask_is_a_short_power_and_no_two_are_a_short_power_apart(job: str) -> None:
    """The exponents are as long as the key says; masks drawn from a counter would be one apart."""
    heard = listening(job)
    masks = {c % heard.n for c in heard.all_of(*ENCRYPTED)}
    power = 1
    for _ in range(SHORT):
        power = power * heard.public.h_s % heard.n
        assert power not in masks
        assert not masks & {each * power % heard.n for each in masks}


@EVERY
def test_nobody_divides_a_residual_by_scores_or_a_loss_by_its_parts(job: str) -> None:
    """Neither a host by its own, nor several by all of theirs together."""
    heard = listening(job)
    for _, _, residual in heard.run.of(Residual):
        place = (residual.round, residual.block)
        scores = [each for _, _, each in heard.run.of(Scores) if (each.round, each.block) == place]
        ((whole,), parts) = (heard.found(residual), [next(heard.found(each)) for each in scores])
        assert len(parts) == 2
        for row, c in enumerate(whole):
            for known in products([part[row] for part in parts], heard.n):
                assert heard.read(c, known) is None
    for _, _, total in heard.run.of(LossSum):
        terms = [each for _, _, each in heard.run.of(LossTerm) if each.epoch == total.epoch]
        for known in products([next(heard.found(each))[0] for each in terms], heard.n):
            assert heard.read(next(heard.found(total))[0], known) is None


def test_all_that_would_be_read_if_it_travelled_without_fresh_masks() -> None:
    """The attacks work: on numbers without masks, and on sums such as the guest makes of residuals."""
    heard = listening("linear")
    plain = encode(np.array([0.75, -3.0]), 36, 4_096.0)
    nothing = EncryptedArray.from_ciphertexts(heard.public, objects([1, 1], (2,)), 36, 0) + plain
    expected = [3 * 2**34, heard.n - 3 * 2**36]
    assert [heard.read(c) for c in nothing.ciphertexts.tolist()] == expected
    theirs = next(heard.found(heard.run.of(Scores)[0][2]))[:2]
    scores = EncryptedArray.from_ciphertexts(heard.public, objects(theirs, (2,)), 36, plain.limit)
    summed = (scores + plain).ciphertexts.tolist()
    found = [heard.read(c, known) for c, known in zip(summed, theirs, strict=True)]
    assert found == expected
    with pytest.raises(NotBlinded, match="fresh masks"):
        (scores + plain).to_bytes()
