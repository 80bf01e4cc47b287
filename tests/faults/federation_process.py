"""A whole federation in a process of its own, to be killed: `python -m tests.faults.federation_process FOLDER`.

Opens the homes in FOLDER, runs the job (or goes on with it), and prints its model's digest.
"""

import sys
from pathlib import Path

from hansa.agents.core.messages import JobSpec
from hansa.agents.local import LocalFederation

PARTIES = ("east", "north", "west")


def specification(rounds: int = 6) -> JobSpec:
    return JobSpec(
        job="killed",
        protocol="horizontal-fedavg",
        model="mlp",
        dataset="rows",
        parties=PARTIES,
        classes=("0", "1"),
        features=30,
        hyperparameters={"hidden": 400, "learning_rate": 0.05, "epochs": 1, "batch_rows": 32},
        settings={"rounds": rounds, "quorum": 3, "round_deadline_s": 600.0, "silence_s": 2400.0},
        minimum_parties=3,
        consent_s=600.0,
        seed=5,
    )


def main() -> None:
    with LocalFederation.open(Path(sys.argv[1])) as local:
        local.register()
        print("ready", flush=True)
        local.run(specification(), timeout_s=120.0)
        print("digest", local.coordinator.result("killed").digest.hex(), flush=True)


if __name__ == "__main__":
    main()
