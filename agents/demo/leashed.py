"""`python -m hansa.agents.demo.leashed PARENT …`: the command `hansa …`, which ends when its parent does.

Agents that a demo has started must not outlive it, not even one that was killed.
"""

import ctypes
import os
import signal
import sys

from hansa.agents.cli import main

PR_SET_PDEATHSIG = 1  # sys/prctl.h


def leash(parent: int) -> None:
    """Have the kernel end this process, as SIGTERM does, when its parent is gone; on Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before
        raise SystemExit(1)


if __name__ == "__main__":
    leash(int(sys.argv.pop(1)))
    main(prog_name="hansa")
