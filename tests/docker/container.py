"""A container, as far as its processes go: `python container.py COMMAND …`.

The command has a process group of its own. SIGTERM is passed on to it, as `docker stop` does; its status is ours;
when it has ended, so has everything that it started. When our standard input ends, because whoever holds the
other end wants so or is gone, all of it is killed, as by `docker kill`.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

PIECE_BYTES = 1024


def run(command: list[str]) -> int:
    """Run a command to its end; return its status, or 128 and the signal's number as a shell does."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda _number, _frame: child.terminate())
    threading.Thread(target=_end_with_input, args=(child.pid,), daemon=True).start()
    status = child.wait()
    _kill(child.pid)
    return status if status >= 0 else 128 - status


def _end_with_input(group: int) -> None:
    while os.read(sys.stdin.fileno(), PIECE_BYTES):
        pass
    _kill(group)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):  # nobody is left in it
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
