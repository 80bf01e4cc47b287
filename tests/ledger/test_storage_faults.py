"""The disk fails at any write, or the writer dies: what was acknowledged is there, and the ledger verifies.

`strace` makes the N-th call of one kind fail, or kills the writer at it. With HANSA_FAULTS=all (`make soak`) every
single one has its turn; otherwise some of each kind, always the same.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from hansa.ledger import JobAccepted, LedgerStore, Note, missing_guards, verify_store
from hansa.ledger.checkpoints import cosign, sign_checkpoint
from tests.ledger.places import FilePlace, Files
from tests.ledger.town import BREMEN, CATCH, DANZIG, LUBECK, PROPOSAL, Town, found_town

ROOT = Path(__file__).parents[2]
CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "unlink")
FAULTS = {"EIO": "error=EIO", "ENOSPC": "error=ENOSPC", "SIGKILL": "signal=SIGKILL"}
SAMPLES = 6  # of each kind of call
MISSING = "the tests need strace: apt-get install strace (or `make servers` as root)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one writer.

    Attributes:
        code: how it ended.
        said: what it had written for certain, in order.
        calls: how often it made each system call.
        injected: how many of them were made to fail.
    """

    code: int
    said: tuple[str, ...]
    calls: Counter[str]
    injected: int


class Writers:
    """A warmed-up process whose children write to ledgers, each under a tracer.

    Args:
        whole: a ledger that holds all that they are to write.
    """

    def __init__(self, whole: FilePlace) -> None:
        self._trace = whole.path.with_suffix(".trace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger.faulty", str(whole.path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, ledger: FilePlace, *injections: str) -> Outcome:
        """Have a child write to a ledger while what `strace -e inject=` says happens to its calls."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{ledger.path}\n")
        self._process.stdin.flush()
        child = self._line()
        command = ["strace", "-f", "-p", child, "-o", str(self._trace), "-e", f"trace={','.join(CALLS)}"]
        for injection in injections:
            command += ["-e", f"inject={injection}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            attached = tracer.stderr.readline()
            os.kill(int(child), signal.SIGCONT)
            said = list(iter(self._line_unless_ended, None))
            tracer.stderr.read()
        if "attached" not in attached:  # in CI a test that is skipped is a failure
            pytest.skip(f"no process may be traced here: {attached.strip()}")
        trace = self._trace.read_text()
        calls = Counter(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))
        return Outcome(self._code, tuple(said), calls, trace.count("(INJECTED)"))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=60) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def _line_unless_ended(self) -> str | None:
        line = self._line()
        if not line.startswith("ended"):
            return line
        self._code = int(line.split()[1])
        return None


@pytest.fixture(scope="module")
def whole(files: Files) -> FilePlace:
    """A ledger with three heads that ever more have signed."""
    place = files.blank()
    with closing(LedgerStore.open(place.url)) as store:
        town = found_town(store)
        town.admit_both()
        _sign(town)
        town.write(LUBECK, PROPOSAL)
        town.write(BREMEN, JobAccepted("herring"), CATCH)
        _sign(town, BREMEN.name)
        town.write(DANZIG, JobAccepted("herring"))
        _sign(town, BREMEN.name, DANZIG.name)
    return place


def _sign(town: Town, *names: str) -> None:
    head = town.keeper.standing.head_checkpoint()
    cosigned = [cosign(who, head, 1_000) for who in (BREMEN, DANZIG) if who.name in names]
    town.store.add_checkpoint(Note(head.text, (sign_checkpoint(LUBECK, head), *cosigned)))


@pytest.fixture(scope="module")
def founded(files: Files, whole: FilePlace) -> FilePlace:
    """The ledger's first entry alone."""
    place = files.blank()
    with closing(LedgerStore.open(place.url)) as store, closing(LedgerStore.open(whole.url)) as source:
        store.append([next(source.read())])
    return place


@pytest.fixture(scope="module")
def writers(whole: FilePlace) -> Iterator[Writers]:
    """What writes the ledgers of this module."""
    if shutil.which("strace") is None:
        raise RuntimeError(MISSING)
    made = Writers(whole)
    yield made
    made.close()


def check(ledger: FilePlace, whole: FilePlace, outcome: Outcome) -> None:
    """Fail unless all that was acknowledged is in the ledger, it verifies, and it goes on to the whole."""
    with closing(LedgerStore.open(whole.url)) as source:
        entries, notes, root = list(source.read()), list(source.checkpoints()), source.tree().root(7)
    with closing(LedgerStore.open(ledger.url, create=False)) as store:
        size = verify_store(store).size
        assert list(store.read()) == entries[:size]
        held = {(note.text, line.name) for note in store.checkpoints() for line in note.signatures}
        for line in outcome.said:
            match line.split():
                case ["entries", count]:
                    assert size >= int(count)
                case ["name", number, name]:
                    assert (notes[int(number)].text, name) in held
                case other:
                    assert other in (["opened"], ["closed"])
        assert missing_guards(store) == ()
        store.append(entries[size:])
        for note in notes:
            store.add_checkpoint(note)
        assert list(store.checkpoints()) == notes
        assert (verify_store(store).size, store.tree().root(7)) == (7, root)


@pytest.fixture(scope="module")
def undisturbed(writers: Writers, whole: FilePlace, founded: FilePlace, files: Files) -> Outcome:
    """What a writer does whom nothing happens to."""
    ledger = files.copy(founded)
    outcome = writers.run(ledger)
    check(ledger, whole, outcome)
    ledger.remove()
    return outcome


def test_a_writer_that_nothing_happens_to_writes_everything(undisturbed: Outcome) -> None:
    assert undisturbed.code == 0
    assert undisturbed.said[0] == "opened"
    assert undisturbed.said[-1] == "closed"
    assert sum(line.startswith("name") for line in undisturbed.said) == 6
    assert "entries 7" in undisturbed.said
    assert undisturbed.calls["pwrite64"] > 20  # and the tracer sees them
    assert undisturbed.calls["fdatasync"] > 10


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_call_fails_nothing_acknowledged_is_lost(
    writers: Writers,
    whole: FilePlace,
    founded: FilePlace,
    files: Files,
    undisturbed: Outcome,
    fault: str,
) -> None:
    every = os.environ.get("HANSA_FAULTS") == "all"
    for call, count in undisturbed.calls.items():
        for number in range(1, count + 1, 1 if every else max(1, count // SAMPLES)):
            ledger = files.copy(founded)
            outcome = writers.run(ledger, f"{call}:{FAULTS[fault]}:when={number}")
            where = f"{fault} at {call} {number}: {outcome}"
            assert outcome.code == (-signal.SIGKILL if fault == "SIGKILL" else 0), where
            if fault != "SIGKILL":  # one failure is got over
                assert outcome.injected == 1, where
                assert [line for line in outcome.said if line.startswith("entries")][-1] == "entries 7", where
                assert sum(line.startswith("name") for line in outcome.said) == 6, where
            check(ledger, whole, outcome)
            ledger.remove()
