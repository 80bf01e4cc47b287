"""What do other threads ask of the one that steps? It is carried out there, and answered once it is safe.

An answer speaks of consequences: it is given after the step that had them is committed. Nobody waits for ever:
when the agent stops, whoever has no answer hears that.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from hansa.agents.errors import AgentError, AgentNotRunning, JournalError
from hansa.broker import BrokerError
from hansa.ledger import LedgerError, StoreError
from hansa.protocols import ProtocolError

Answer = TypeVar("Answer")


class Requests:
    """The requests of one agent.

    Args:
        name: the agent's.
        wake: has its thread look for requests.
    """

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self._name = name
        self._wake = wake
        self._actions: deque[Callable[[], None]] = deque()
        self._answers: list[Callable[[], None]] = []
        self._asked: set[Future[Any]] = set()
        self._closed = False

    def __bool__(self) -> bool:
        """Whether any was not carried out yet."""
        return bool(self._actions)

    def add(self, action: Callable[[], None]) -> None:
        """Have the agent's thread do something in its next step; from any thread."""
        self._actions.append(action)
        self._wake()

    def ask(self, request: Callable[[], Answer]) -> "Future[Answer]":
        """Have the agent's thread carry out a request; from any thread. What it raises comes out of the future."""
        future: Future[Answer] = Future()
        self._asked.add(future)
        future.add_done_callback(self._asked.discard)
        if self._closed:
            self._never_answered(future)
        else:
            self.add(lambda: self._carry_out(request, future))
        return future

    def _carry_out(self, request: Callable[[], Answer], future: "Future[Answer]") -> None:
        try:
            answer = request()
        except (AgentError, BrokerError, LedgerError, ProtocolError, ValueError) as error:
            if isinstance(error, JournalError | StoreError):
                raise  # our own disk
            future.set_exception(error)
        else:
            self._answers.append(lambda: future.set_result(answer))

    def carry_out(self) -> None:
        """Do what was asked, in order; on the agent's thread.

        Raises:
            JournalError, StoreError: our own disk failed.
        """
        while self._actions:
            self._actions.popleft()()

    def answer(self) -> None:
        """Give the answers whose consequences are committed now."""
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()

    def close(self) -> None:
        """Tell whoever waits for an answer that none will come; likewise whoever asks from here on."""
        self._closed = True
        for future in list(self._asked):
            self._never_answered(future)

    def _never_answered(self, future: "Future[Any]") -> None:
        with suppress(InvalidStateError):  # answered after all
            future.set_exception(AgentNotRunning(f"{self._name} stopped before it answered; ask again"))
