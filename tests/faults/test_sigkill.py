"""Real processes, real files, SIGKILL at random instants: nothing lost, nothing doubled, the same model."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
from sklearn.datasets import load_breast_cancer

from hansa.agents.home import find_homes
from hansa.agents.local import LocalFederation, Member
from hansa.ledger import read_entry, verify_store
from tests.faults.federation_process import PARTIES

KILLS = 6


def found(folder: Path) -> None:
    """Make a federation whose three parties hold a third of the breast cancer data each."""
    config = {"data": {"rows": {"file": "rows.csv", "target": "target"}}}
    members = [Member(name, config=config) for name in PARTIES]
    LocalFederation.found(members, federation="killed", folder=folder).close()
    features, target = load_breast_cancer(return_X_y=True)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    for place, name in enumerate(PARTIES):
        mine = range(place, len(target), 3)
        frame = pl.DataFrame({"id": [f"patient-{row}" for row in mine]}).with_columns(
            *(pl.Series(f"x{column}", features[place::3, column]) for column in range(30)),
            pl.Series("target", target[place::3]),
        )
        frame.write_csv(folder / name / "rows.csv")


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.federation_process", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path) -> str:
    """Run the process to its end and return the digest it printed."""
    process = start(folder)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out.split("digest ")[1].strip()


def kinds(folder: Path) -> Counter[tuple[str, str]]:
    """Verify every copy of the ledger, check that they are equal, and count what is on it."""
    copies = []
    for home in find_homes(folder):
        store = home.store()
        verify_store(store, fingerprint=bytes.fromhex(home.config().federation.charter))
        copies.append(
            [(read_entry(entry.signed).author, read_entry(entry.signed).kind) for entry in store.read()]
        )
        store.close()
    assert all(copy == copies[0] for copy in copies)
    return Counter(copies[0])


def test_a_federation_killed_again_and_again_ends_with_the_uninterrupted_model(tmp_path: Path) -> None:
    calm, harmed = tmp_path / "calm", tmp_path / "harmed"
    found(calm)
    found(harmed)
    expected = finish(calm)
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    generator = random.Random(seed)
    for _ in range(KILLS):
        process = start(harmed)
        assert process.stdout is not None
        process.stdout.readline()  # "ready", or nothing if it has ended
        time.sleep(generator.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert finish(harmed) == expected
    assert kinds(harmed) == kinds(calm)
