"""One organisation's agent, as its daemon runs it: `python -m benchmarks.daemon_process`.

`hansa.agents.daemon.Daemon` on a home, told {"home"}; answers {"ready"} when its connection to the broker works.
Then, as often as wanted, {"submit": a job's specification} proposes a job, and is answered {"submitted"}. Ends when
its standard input does.
"""

import json
import signal
import sys
import threading
import time
from pathlib import Path

from hansa.agents.daemon import Daemon
from hansa.agents.home import Home
from hansa.agents.memory import keep_freed_memory
from hansa.agents.messages import JobSpec
from hansa.broker import from_plain

LOOK_S = 0.005
READY_S = 60.0


def obey(daemon: Daemon) -> None:
    """Say when the daemon is ready, then do as told."""
    deadline = time.monotonic() + READY_S
    while daemon.health().state != "ready" and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    print(json.dumps({"ready": time.monotonic()}), flush=True)
    for line in sys.stdin:
        spec = from_plain(JobSpec, json.loads(line)["submit"])
        office = daemon.office()
        office.agent.submit(spec)
        print(json.dumps({"submitted": spec.job}), flush=True)
    daemon.stop()


def main() -> None:
    """Run the daemon until standard input ends."""
    keep_freed_memory()
    home = Home(Path(json.loads(sys.stdin.readline())["home"]))
    daemon = Daemon(home, home.identity())
    signal.signal(signal.SIGTERM, lambda *_: daemon.stop())
    threading.Thread(target=obey, args=(daemon,), daemon=True).start()
    daemon.run()


if __name__ == "__main__":
    main()
