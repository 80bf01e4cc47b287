"""Whoever runs the broker sees who speaks to whom, when, about which job, and how much: no payload."""

import json
import os
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hansa.agents.service.reach import reach
from hansa.broker import Management, decode, frame_kind
from hansa.broker.envelope import ENVELOPE, EVENT
from hansa.broker.frames import unpack_frame
from tests import servers
from tests.faults.books import read_books
from tests.faults.daemon import Weights
from tests.faults.fleet import KEEPER, LABELS, PARTIES, Fleet, specification
from tests.faults.tap import tapped

JOB = "a-job-that-somebody-watches"
WINDOW = 48  # bytes of weights or of a row that are looked for

# What an event may say: who is doing what, and how good the federation's model has become.
EVENT_FIELDS = {
    "job-offered": {"job", "refused"},
    "entry-chained": {"entry"},
    "round-closed": {"job", "round", "missing"},
    "model-evaluated": {"job", "round", "loss", "score", "metric"},
    "job-over": {"job", "outcome", "reason"},
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[servers.Node]:
    """Give a broker of its own: on the disk of a shared one lies what other tests have sent."""
    node = servers.start(tmp_path / "broker")
    yield node
    node.kill()


@pytest.fixture
def fleet(tmp_path: Path, node: servers.Node) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path / "fleet", [node.port], Management.from_url(node.management_url))
    fleet.start_all()
    yield fleet
    fleet.close()


def secrets(fleet: Fleet) -> dict[bytes, str]:
    """Return what must not be seen, and what it is."""
    found: dict[bytes, str] = {label.encode(): "a label" for label in LABELS}
    spec = specification(JOB)
    for name in ("learning_rate", "batch_rows", "round_deadline_s", spec.dataset):
        found[name.encode()] = "a setting, or the data set's name"
    for value in (0.05, 600.0):
        found[struct.pack(">d", value)] = found[struct.pack("<d", value)] = "a setting's value"
    for party in PARTIES:
        frame = pl.read_csv(fleet.homes[party].path / "digits.csv")
        found |= {name.encode(): "a column" for name in frame.columns if name.startswith("pixel")}
        for row in frame.head(40).iter_rows():
            numbers = np.array(row[1:-1])
            found[str(row[0]).encode()] = "a row's id"
            found |= {
                numbers.astype(kind).tobytes()[80 : 80 + WINDOW]: "a row" for kind in ("<f8", ">f8", "<f4")
            }
    with reach(fleet.homes[KEEPER], alone=False) as ask:
        for text in ask(Weights(JOB))["weights"]:
            weights = bytes.fromhex(text)
            found |= {weights[at : at + WINDOW]: "weights" for at in range(0, len(weights) - WINDOW, 4_096)}
    return {secret: what for secret, what in found.items() if len(set(secret)) > 3}  # not a row of zeros


def test_a_tap_on_everything_finds_no_payload_in_clear(fleet: Fleet, node: servers.Node) -> None:
    before = read_books(fleet.homes)
    heard: list[tuple[str, bytes]] = []
    with tapped(fleet.name, node.port, lambda _, key, body: heard.append((key, body))):
        fleet.propose(specification(JOB, rounds=3))
        fleet.until_over(JOB)
    posted = read_books(fleet.homes).posted - before.posted
    frames = [(key, body) for key, body in heard if not key.endswith(".takeover")]
    kinds = Counter(frame_kind(body) for _, body in frames)
    assert kinds["envelope"] >= len(posted) > 30  # the tap has missed nothing
    assert kinds["chunk"] >= 3 * 2 * len(PARTIES)  # three rounds, to and fro
    assert sum(JOB.encode() in body for _, body in frames) > 20  # and the search finds what stands in clear
    hidden = secrets(fleet)
    assert len(hidden) > 200
    on_disk = [
        path.read_bytes()
        for path in Path(node.folder, "data").rglob("*")
        if path.is_file() and os.access(path, os.R_OK)
    ]
    everything = b"\0".join([*(body for _, body in frames), *on_disk])
    assert [what for secret, what in hidden.items() if secret in everything] == []
    _look_at_what_is_clear([body for _, body in frames])


def _look_at_what_is_clear(bodies: list[bytes]) -> None:
    """The job's name stands in headers and events only; events say no more than they are known to."""
    for body in bodies:
        if frame_kind(body) == "envelope":
            _, payload = unpack_frame(ENVELOPE, (bytes, bytes), body)
            assert JOB.encode() not in bytes(payload)
        elif frame_kind(body) == "event":
            (signed, _), payload = unpack_frame(EVENT, (bytes, bytes), body)
            assert isinstance(signed, bytes)
            fields = decode(bytes(payload))
            assert isinstance(fields, dict)
            [kind] = [kind for kind in EVENT_FIELDS if kind.encode() in signed]
            assert set(fields) == EVENT_FIELDS[kind], json.dumps(list(fields))
        else:
            assert JOB.encode() not in body
