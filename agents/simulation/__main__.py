"""Replay one simulated run."""

import argparse
from collections.abc import Sequence

from hansa.agents.simulation import KEEPER, Harm, alignment, simulate, vertical


def main(arguments: Sequence[str] | None = None) -> None:
    """Replay one seed and print what happened."""
    parser = argparse.ArgumentParser(description="Replay one simulated run.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--vertical", action="store_true", help="an alignment and a vertical training instead"
    )
    parser.add_argument("--crash-at", type=int, default=0, help="a kill at this one of all points, too")
    parser.add_argument("--power", action="store_true", help="kills are power failures")
    parser.add_argument("--absent", action="append", default=[], help="an agent that never comes up")
    given = parser.parse_args(arguments)
    specs = (alignment(), vertical()) if given.vertical else ()
    harm = Harm(seed=given.seed, power=given.power, absent=tuple(given.absent), crash_at=given.crash_at)
    run = simulate(harm, *specs)
    print("\n".join(run.trace))
    for name, over in sorted(run.outcomes.items()):
        print(f"{name}: {over.outcome + ': ' + over.reason if over else 'down'}")
    print(f"seed {run.seed}: {len(run.crashes)} kills, {run.virtual_s:.0f} virtual seconds, ", end="")
    print(f"{len(run.entries[KEEPER])} entries, model {run.digest.hex()[:16] or 'none'}")


if __name__ == "__main__":
    main()
