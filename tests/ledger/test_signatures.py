"""Signatures are checked in any number, here or on all cores, and the first wrong one is named."""

import os
import signal
import time

import pytest

from hansa.ledger import signatures
from hansa.ledger.signatures import BATCH, BATCH_BYTES, SignaturePool, is_right, wrong
from tests.ledger.town import BREMEN, LUBECK

MESSAGE = b"herring"
SIGNATURE = LUBECK.sign(MESSAGE)
KEY = LUBECK.public.verify_key
RIGHT = (KEY, SIGNATURE, MESSAGE)


@pytest.mark.parametrize(
    "check",
    [
        (BREMEN.public.verify_key, SIGNATURE, MESSAGE),
        (KEY, bytes(64), MESSAGE),
        (KEY, SIGNATURE[:-1], MESSAGE),
        (KEY, SIGNATURE, b"salt"),
        (b"no key", SIGNATURE, MESSAGE),
    ],
)
def test_a_signature_is_of_one_key_and_one_message(check: tuple[bytes, bytes, bytes]) -> None:
    assert is_right(*RIGHT)
    assert not is_right(*check)
    assert wrong([RIGHT, check, RIGHT, check]) == (1, 3)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("patience", [1, 10**6])
def test_a_pool_names_the_least_number_that_is_wrong(workers: int, patience: int) -> None:
    count = BATCH + 10
    with SignaturePool(workers, patience) as pool:
        for number in range(count):
            pool.check(number, KEY, SIGNATURE, MESSAGE if number not in (400, count - 1) else b"salt")
        assert pool.settle() == 400
        pool.check(7, KEY, SIGNATURE, b"salt")
        assert pool.settle() == 7
        assert pool.first_wrong == 7


def test_no_more_batches_wait_than_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "AHEAD", 0)
    with SignaturePool(2, patience=1) as pool:
        pool.check(9, KEY, SIGNATURE, b"salt")
        assert pool.first_wrong == 9


def test_a_pool_that_was_given_nothing_has_found_nothing() -> None:
    with SignaturePool() as pool:
        assert pool.settle() is None


def test_long_messages_are_not_kept_waiting() -> None:
    with SignaturePool(1) as pool:
        pool.check(3, KEY, SIGNATURE, bytes(BATCH_BYTES))
        assert pool.first_wrong == 3


def test_a_process_that_dies_costs_no_verdict() -> None:
    with SignaturePool(2, patience=1) as pool:
        pool.check(0, KEY, SIGNATURE, MESSAGE)
        pool.settle()
        assert pool._pool is not None
        for worker in list(pool._pool._processes.values()):
            os.kill(worker.pid, signal.SIGKILL)
        for number in range(1, 3 * BATCH):
            pool.check(number, KEY, SIGNATURE, MESSAGE if number != 2 * BATCH else b"salt")
        deadline = time.monotonic() + 30
        assert pool.settle() == 2 * BATCH
        assert time.monotonic() < deadline
        pool.check(1, KEY, SIGNATURE, b"salt")
        assert pool.settle() == 1
