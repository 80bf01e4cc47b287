"""Print the fault table.

    python -m tests.faults [--full] [--seed N] [--times N] [--only WORD ...] [--out FILE]

Each fault strikes once, and the broker is stopped for 15 s; with --full, three times and for a minute.
Exits with 1 if anything was lost, duplicated or unexpected.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests import servers
from tests.faults import campaign
from tests.faults.reckoning import Result
from tests.faults.table import document, markdown

SHORT_STOP_S, FULL_STOP_S = 15.0, 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break things, and count.")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--times", type=int, help="how often each fault strikes")
    parser.add_argument("--full", action="store_true", help="three times, the broker stopped for a minute")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="faults whose name contains one"
    )
    parser.add_argument("--out", type=Path, help="also write the table here, with its settings")
    options = parser.parse_args(argv)
    plan = campaign.Plan(
        options.seed,
        options.times or (3 if options.full else 1),
        FULL_STOP_S if options.full else SHORT_STOP_S,
        tuple(options.only),
    )
    os.environ[servers.CONTROLLER_VARIABLE] = str(os.getpid())
    logging.getLogger("hansa").setLevel(logging.CRITICAL)  # the probes report every lost connection
    print(f"seed {plan.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hansa-faults-") as folder:
        os.environ[servers.FOLDER_VARIABLE] = folder
        results = [
            result for part in campaign.PARTS for result in part(Path(folder, part.__name__), plan, _say)
        ]
    print(markdown(results))
    minutes = (time.monotonic() - began) / 60
    print(f"{minutes:.0f} minutes")
    if options.out is not None:
        options.out.write_text(document(results, plan, minutes), encoding="utf-8")
    return 0 if all(result.tally.clean for result in results) else 1


def _say(result: Result) -> None:
    tally = result.tally
    print(f"{result.fault}: {tally} {result.back}", flush=True)
    for note in result.notes:
        print(f"    {note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
