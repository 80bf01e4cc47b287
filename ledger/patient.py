"""Who leaves a server that has fallen silent? This connection; only with psycopg installed can it be imported.

The server's own timeouts end a statement that takes too long. Where the server itself is frozen, or the network
between drops every packet, nobody is left to raise them, and the driver would wait for as long as TCP does.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

SILENCE_S = 75.0  # more than the server allows its statements (`postgresql.STATEMENT_S`)

Result = TypeVar("Result")


class PatientConnection(psycopg.Connection[TupleRow]):
    """A connection that is closed when nothing has come from the server for `silence_s`."""

    silence_s = SILENCE_S

    def wait(self, gen: PQGen[Result], *arguments: Any, **parameters: Any) -> Result:
        """Wait for an answer, as psycopg does; OperationalError when it does not come."""
        return super().wait(self._listening(gen), *arguments, **parameters)

    def _listening(self, gen: PQGen[Result]) -> PQGen[Result]:
        heard_s = time.monotonic()
        try:
            wish = next(gen)
            while True:
                ready = yield wish  # nothing is ready every 0.1 s
                if ready:
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > self.silence_s:
                    self.close()  # a pool takes it for lost
                    raise psycopg.OperationalError(f"no answer from the server for {self.silence_s:g} s")
                wish = gen.send(ready)
        except StopIteration as stop:
            result: Result = stop.value
            return result
