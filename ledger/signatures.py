"""Whose signatures are right? Many at once, on all cores.

A signature takes a tenth of a millisecond to check and nothing but its key and its message, so batches of them go
to processes of their own. They start when there is enough to do; what is less is checked here.
"""

import os
import signal
from collections import deque
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from loky import ProcessPoolExecutor

BATCH = 512  # checks handed over at once: some 50 ms of work
PATIENCE = 4_096  # checks that are not worth starting processes for
AHEAD = 3  # batches waiting per process: none runs dry, and memory stays bounded
BATCH_BYTES = 2**20  # of messages, should they be long
IDLE_S = 10.0  # after which a process without work ends, should its caller have been killed
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Check: TypeAlias = tuple[bytes, bytes, bytes]
"""Public key (32,), signature, message: Ed25519."""


def wrong(checks: Sequence[Check]) -> tuple[int, ...]:
    """Return which of these signatures are not of their key and message, by position."""
    return tuple(number for number, check in enumerate(checks) if not is_right(*check))


def is_right(key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is of this key over this message; bytes that are no key have none."""
    try:
        _public(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class SignaturePool:
    """Checks signatures in the order in which they come, while the caller goes on; `with` ends its processes.

    A process that dies costs nothing but time: what it had in hand, and all that follows, is checked here.

    Args:
        workers: how many processes; None: as many as there are cores for us. With one core there are none.
        patience: how many checks to wait for before any process is started.

    Attributes:
        first_wrong: the least number under which a wrong signature was found so far, or None.
    """

    def __init__(self, workers: int | None = None, patience: int = PATIENCE) -> None:
        self.first_wrong: int | None = None
        self._workers = len(os.sched_getaffinity(0)) if workers is None else workers
        self._patience = patience
        self._pool: ProcessPoolExecutor | None = None
        self._numbers: list[int] = []
        self._checks: list[Check] = []
        self._bytes = 0
        self._under_way: deque[_Batch] = deque()

    def __enter__(self) -> "SignaturePool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def check(self, number: int, key: bytes, signature: bytes, message: bytes) -> None:
        """Have a signature checked, under a number of the caller's; several may share one."""
        self._numbers.append(number)
        self._checks.append((key, signature, message))
        self._bytes += len(message)
        enough = BATCH if self._pool is not None else self._patience
        if len(self._checks) >= enough or self._bytes >= BATCH_BYTES:
            self._hand_over()

    def settle(self) -> int | None:
        """Wait for all that was handed in; return `first_wrong`."""
        if self._pool is None:
            self._note(self._numbers, wrong(self._checks))
            self._forget_waiting()
        else:
            self._hand_over()
        while self._under_way:
            self._collect()
        return self.first_wrong

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        pool, self._pool = self._pool, None
        self._under_way.clear()
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)

    def _hand_over(self) -> None:
        if self._pool is None and self._workers > 1:
            self._pool = ProcessPoolExecutor(
                self._workers,
                timeout=IDLE_S,
                initializer=signal.signal,
                initargs=(signal.SIGINT, signal.SIG_IGN),  # a person's Ctrl-C is the caller's to hear
                env=ENVIRONMENT,
            )
        for start in range(0, len(self._checks), BATCH):
            numbers, checks = self._numbers[start : start + BATCH], self._checks[start : start + BATCH]
            if self._pool is None:
                self._note(numbers, wrong(checks))
            else:
                self._under_way.append(_Batch(numbers, checks, self._submit(checks)))
        self._forget_waiting()
        while len(self._under_way) > AHEAD * self._workers:
            self._collect()

    def _submit(self, checks: list[Check]) -> "Future[tuple[int, ...]]":
        assert self._pool is not None
        try:
            future: Future[tuple[int, ...]] = self._pool.submit(wrong, checks)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        return future

    def _collect(self) -> None:
        batch = self._under_way.popleft()
        try:
            found = batch.future.result()
        except BrokenExecutor:
            self._workers = 1
            found = wrong(batch.checks)
        self._note(batch.numbers, found)

    def _note(self, numbers: Sequence[int], found: Sequence[int]) -> None:
        known = () if self.first_wrong is None else (self.first_wrong,)
        self.first_wrong = min((*known, *(numbers[each] for each in found)), default=None)

    def _forget_waiting(self) -> None:
        self._numbers, self._checks, self._bytes = [], [], 0


@dataclass(frozen=True, slots=True)
class _Batch:
    numbers: list[int]
    checks: list[Check]
    future: "Future[tuple[int, ...]]"


@lru_cache(maxsize=1_024)
def _public(key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key)
