"""The keeper of the ledger lies: how is it caught, who takes over, and what does an auditor see of it?

Four organisations train a model together. Then the keeper tells two of them that each earned what was measured, and
the third another story; both are signed. Whatever is printed was read from the agents and from what they left.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from sklearn.datasets import load_digits

from hansa.agents.audit import write_page
from hansa.agents.core.agent import Agent
from hansa.agents.core.canvass import Awaited
from hansa.agents.core.coordination import Over
from hansa.agents.core.heads import SignedHead
from hansa.agents.core.messages import JobSpec
from hansa.agents.demo import forktale
from hansa.agents.demo.counterfeits import write_changed, write_resigned, write_rolled_back
from hansa.agents.demo.crew import Crew
from hansa.agents.demo.folder import clear, make_homes
from hansa.agents.demo.forking import TwoFaces
from hansa.agents.home import Home
from hansa.agents.local import Member
from hansa.broker import Identity
from hansa.ledger import (
    AuditReport,
    ChainedEntry,
    Checkpoint,
    ContributionMeasured,
    DatasetRegistered,
    KeeperChanged,
    Note,
    decode_body,
    read_checkpoint,
    read_entry,
    read_note,
)
from hansa.ledger.audit import audit
from hansa.ledger.contribution import VOLUME
from hansa.ledger.export import export_to

FEDERATION = "fork-demo"
KEEPER, SUCCESSOR, WITNESS, DECEIVED = "lubeck", "bremen", "hamburg", "rostock"
ORGANISATIONS = {
    KEEPER: "Trave Clearing House",
    SUCCESSOR: "Weser Bank",
    WITNESS: "Elbe Insurance",
    DECEIVED: "Warnow Savings",
}
PARTIES = (SUCCESSOR, WITNESS, DECEIVED)
PARTS = (0.5, 0.3, 0.2)  # of the rows
DATASET = "digits"
JOB, REFUSED_JOB, NEXT_JOB = "digits-1", "digits-2", "digits-3"
ROUNDS = 3
LEFT, RIGHT = "lubeck's one face", "and its other"
OWN = ("loans", "cards", "deposits", "mortgages")  # that the deceived registers meanwhile
PAPERS = "audit"  # the folder of what an auditor gets
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Caught:
    """When a member knew that the keeper has signed two histories, seconds after it had, and what it cried then."""

    after_s: float
    words: str


@dataclass(frozen=True, slots=True)
class Told:
    """One of the two histories: to whom, what each has earned by it, and the head that the keeper signed for it."""

    to: tuple[str, ...]
    shares: Mapping[str, int]
    head: SignedHead


@dataclass(frozen=True, slots=True)
class Shunned:
    """What the keeper got once it was caught.

    Attributes:
        reason: that members gave.
        over: how the job ended that it proposed; `refused` by whom.
        awaited: what its next head, of `size` entries, lacks.
    """

    reason: str
    over: Over
    refused: tuple[str, ...]
    size: int
    awaited: Awaited


@dataclass(frozen=True, slots=True)
class Takeover:
    """How another member came to keep the ledger.

    Attributes:
        agreed: who put their names to it; `head` under which head.
        took_s: seconds until all members followed.
        final: the newest final head that it knew before; `root` of so many entries in its copy afterwards.
        aside: what the deceived member's copy had beyond that, and `again` where what its author sent again is now.
    """

    agreed: tuple[str, ...]
    head: Checkpoint
    took_s: float
    final: Checkpoint
    root: bytes
    aside: tuple[ChainedEntry, ...]
    again: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that happened.

    Attributes:
        before, after: the newest final heads, of the first and of the last job.
        found: what the audits of counterfeits have found, by file.
    """

    before: SignedHead
    told: tuple[Told, Told]
    caught: Mapping[str, Caught]
    shunned: Shunned
    takeover: Takeover
    after: SignedHead
    report: AuditReport
    found: Mapping[str, str]


def run_demo(folder: Path, *, replace: bool, seed: int, console: Console) -> Outcome:
    """Tell the story, print it, and leave the homes and what an auditor gets in `folder`.

    Raises:
        AgentError: the folder is in use, or something did not happen in time.
    """
    clear(folder, replace, [*ORGANISATIONS, PAPERS])
    started = time.monotonic()
    console.print(
        "[bold]hansa demo fork[/]: one process, memory transport, SQLite ledgers, homes on disk",
        highlight=False,
    )
    data = {"data": {DATASET: {"file": f"{DATASET}.csv", "id": "id", "target": "digit"}}}
    members = [Member(name, ORGANISATIONS[name], config=data) for name in PARTIES]
    make_homes(folder, members, FEDERATION, KEEPER, "the fork demo")
    rows = _deal(folder, seed)
    with _listening() as heard, Crew(FEDERATION, ORGANISATIONS) as crew:
        story = _Story(folder, console, crew, heard, seed)
        before = story.agree(rows)
        with tempfile.TemporaryDirectory(prefix="hansa-") as elsewhere:
            told, caught, shunned = story.fork(Path(elsewhere) / KEEPER)
        takeover = story.take_over(before)
        after = story.go_on()
    report, found = _inspect(folder, console, before, after)
    forktale.print_end(console, folder, report, _finished_at(folder), time.monotonic() - started)
    return Outcome(before, told, caught, shunned, takeover, after, report, found)


class _Story:
    """The three parts that agents have in it."""

    def __init__(
        self, folder: Path, console: Console, crew: Crew, heard: list[tuple[str, str]], seed: int
    ) -> None:
        self.folder, self.console, self.crew, self.heard, self.seed = folder, console, crew, heard, seed

    # --- one ledger ---------------------------------------------------------------------------------------
    def agree(self, rows: Mapping[str, int]) -> SignedHead:
        """Run a job; its outcome becomes final."""
        forktale.print_members(self.console, ORGANISATIONS, KEEPER, rows)
        for name in ORGANISATIONS:
            self.crew.start(Home(self.folder / name))
        for name in PARTIES:
            agent = self.crew.agents[name]
            agent.register(agent.datasets[DATASET]())
        keeper = self.crew.agents[KEEPER]
        self.crew.until(lambda: len(keeper.clerk.standing.datasets) == len(PARTIES), PATIENCE_S)
        over = self._run(KEEPER, JOB, PARTIES)
        head = self._until_final(KEEPER)
        forktale.print_job(self.console, over, keeper.result(JOB).evaluation.score, KEEPER, ROUNDS)
        forktale.print_final(self.console, head, keeper.clerk.standing)
        return head

    # --- two histories ------------------------------------------------------------------------------------
    def fork(self, elsewhere: Path) -> tuple[tuple[Told, Told], dict[str, Caught], Shunned]:
        """Have the keeper tell two stories, until all have caught it, and stop it for good."""
        crew = self.crew
        crew.stop(KEEPER)
        shutil.copytree(self.folder / KEEPER, elsewhere)
        faces = TwoFaces(crew.broker.connect(KEEPER), [DECEIVED])
        crew.start(Home(self.folder / KEEPER), faces.left, LEFT)
        crew.start(Home(elsewhere), faces.right, RIGHT)
        self._settle()
        measured = dict(crew.agents[LEFT].clerk.standing.jobs[JOB].shares)
        # No party can be told to have brought in more than it has registered. But less: here the largest as little
        # as the smallest, who then earns more than it does in what the others are told.
        other = {**measured, SUCCESSOR: measured[DECEIVED]}
        deceived, size = crew.agents[DECEIVED], crew.agents[DECEIVED].clerk.head.size
        for dataset in OWN:
            deceived.write(DatasetRegistered(dataset, 1_200, ("age", "sum"), "lapsed", bytes(32)))
        # These stand in one of the two histories alone.
        crew.until(lambda: deceived.clerk.head.size == size + len(OWN), PATIENCE_S)
        began = time.monotonic()
        crew.agents[LEFT].write(ContributionMeasured(JOB, VOLUME, measured))
        crew.agents[RIGHT].write(ContributionMeasured(JOB, VOLUME, other))
        caught = self._caught(began)
        sizes = {face: crew.agents[face].clerk.head.size for face in (LEFT, RIGHT)}
        shunned = self._shunned()
        told = (
            Told((SUCCESSOR, WITNESS), measured, self._head(LEFT, sizes[LEFT])),
            Told((DECEIVED,), other, self._head(RIGHT, sizes[RIGHT])),
        )
        needed = deceived.clerk.standing.roster_at(size).needed
        forktale.print_fork(self.console, KEEPER, told, caught, needed)
        forktale.print_shunned(self.console, KEEPER, shunned)
        crew.stop(LEFT, RIGHT)
        return told, caught, shunned

    def _caught(self, began: float) -> dict[str, Caught]:
        after_s: dict[str, float] = {}

        def all_know() -> bool:
            for name in PARTIES:
                if name not in after_s and self.crew.agents[name].witness.evidence_against(KEEPER):
                    after_s[name] = time.monotonic() - began
            return {*PARTIES} <= after_s.keys() & {name for name, _ in self.heard} and all(
                map(proven, PARTIES)
            )

        def proven(name: str) -> bool:
            return self.crew.ask(name, lambda agent: any(agent.clerk.store.evidence()))

        self.crew.until(all_know, PATIENCE_S)
        first = {name: words for name, words in reversed(self.heard)}
        return {name: Caught(after_s[name], first[name]) for name in sorted(after_s, key=after_s.__getitem__)}

    def _shunned(self) -> Shunned:
        """Have the keeper propose a job, and ask for names, once it is caught."""
        over = self._run(LEFT, REFUSED_JOB, (SUCCESSOR, WITNESS))
        keeper = self.crew.agents[LEFT]

        def declined() -> bool:
            awaited = keeper.witness.state().awaited
            return awaited is not None and not awaited.named and "two histories" in str(awaited)

        self.crew.until(declined, PATIENCE_S)
        self.crew.until(lambda: self._level(LEFT, SUCCESSOR, WITNESS), PATIENCE_S)
        awaited = keeper.witness.state().awaited
        assert awaited is not None  # as declined() has seen
        reason = self.crew.agents[WITNESS].witness.stops_jobs()
        refused = keeper.clerk.standing.jobs[REFUSED_JOB].refused
        return Shunned(reason, over, tuple(sorted(refused)), keeper.clerk.head.size, awaited)

    def _waits(self, called: str) -> bool:
        return self.crew.ask(called, lambda agent: agent.clerk.waiting())

    def _level(self, *called: str) -> bool:
        return len({self.crew.agents[each].clerk.head for each in called}) == 1

    # --- another keeper -----------------------------------------------------------------------------------
    def take_over(self, before: SignedHead) -> Takeover:
        """Have another member keep the ledger; all that are left follow it."""
        crew, successor = self.crew, self.crew.agents[SUCCESSOR]
        final = successor.witness.heads.final
        kept = before.checkpoint if final is None else final.checkpoint
        began = time.monotonic()
        crew.ask(SUCCESSOR, lambda agent: agent.takeover.candidate.begin(f"{KEEPER} has forked the ledger"))
        crew.until(lambda: {agent.clerk.keeper for agent in crew.agents.values()} == {SUCCESSOR}, PATIENCE_S)
        took_s = time.monotonic() - began
        crew.until(lambda: self._level(*PARTIES) and not any(map(self._waits, PARTIES)), PATIENCE_S)
        store, standing = successor.clerk.store, successor.clerk.standing
        certificate = _certificate(successor)
        head = read_checkpoint(certificate.text)
        agreed = standing.roster_at(head.size).cosignatures(head, certificate)
        aside = tuple(crew.agents[DECEIVED].clerk.store.superseded())
        places = {entry.signed: entry.index for entry in store.read()}
        takeover = Takeover(
            tuple(each.member for each in agreed),
            head,
            took_s,
            kept,
            store.tree().root(kept.size),
            aside,
            {each.index: places[each.signed] for each in aside if each.signed in places},
        )
        forktale.print_takeover(self.console, KEEPER, DECEIVED, takeover)
        return takeover

    def go_on(self) -> SignedHead:
        """Run another job, led by the new keeper; its outcome becomes final too."""
        keeper = self.crew.agents[SUCCESSOR]
        over = self._run(SUCCESSOR, NEXT_JOB, (WITNESS, DECEIVED))
        head = self._until_final(SUCCESSOR)
        forktale.print_job(self.console, over, keeper.result(NEXT_JOB).evaluation.score, SUCCESSOR, ROUNDS)
        forktale.print_final(self.console, head, keeper.clerk.standing)
        return head

    # --- what the parts have in common --------------------------------------------------------------------
    def _run(self, leader: str, job: str, parties: tuple[str, ...]) -> Over:
        """Run a job to its end, whatever that is."""
        self.crew.ask(leader, lambda agent: agent.submit(_specification(job, parties, self.seed)))
        ended: list[Over] = []

        def is_over() -> bool:
            over = self.crew.ask(leader, lambda agent: agent.outcome(job))
            ended.extend([] if over is None else [over])
            return over is not None

        self.crew.until(is_over, PATIENCE_S)
        return ended[0]

    def _until_final(self, keeper: str) -> SignedHead:
        """Wait until all that are up know the newest head as final."""

        def is_final() -> bool:
            finals = [agent.witness.heads.final for agent in self.crew.agents.values()]
            heads = {agent.clerk.head.size for agent in self.crew.agents.values()}
            return len(heads) == 1 and {each and each.checkpoint.size for each in finals} == heads

        self.crew.until(is_final, PATIENCE_S)
        return self._head(keeper, self.crew.agents[keeper].clerk.head.size)

    def _head(self, called: str, size: int) -> SignedHead:
        """Return the signed head of so many entries that an agent holds."""

        def held(agent: Agent) -> SignedHead:
            [note] = agent.clerk.store.checkpoint(size, agent.clerk.standing.epoch)
            return agent.witness.heads.read(note.encoded())

        return self.crew.ask(called, held)

    def _settle(self) -> None:
        """Wait until nobody has anything to do."""
        self.crew.until(
            lambda: not any(self.crew.ask(name, Agent.busy) for name in self.crew.agents), PATIENCE_S
        )


# --- what an auditor does -------------------------------------------------------------------------------
def _inspect(
    folder: Path, console: Console, before: SignedHead, after: SignedHead
) -> tuple[AuditReport, dict[str, str]]:
    """Export the ledger, audit it, and three counterfeits of it."""
    papers = folder / PAPERS
    papers.mkdir()
    home = Home(folder / SUCCESSOR)
    store = home.stored()
    good = papers / "town.ledger"
    export_to(store, good)
    store.close()
    charter = before.checkpoint.fingerprint
    report = audit(good, charter=charter)
    write_page(report, papers / "report.html", int(time.time()))
    (papers / "seen.checkpoint").write_bytes(after.note.encoded())
    forktale.print_audit(console, report, papers)
    found, done = {}, {}
    for file, what, seen in _counterfeits(folder, good, before):
        done[file] = what
        bad = audit(papers / file, charter=charter, at_least=after.note if seen else None)
        found[file] = next((each.text for each in bad.findings if not each.holds), "")
    forktale.print_counterfeits(console, done, found)
    return report, found


def _counterfeits(folder: Path, good: Path, before: SignedHead) -> Iterator[tuple[str, str, bool]]:
    """Write three; yield each one's file, what was done to it, and whether it takes a checkpoint to see that."""
    papers = folder / PAPERS
    finished = _finished_at(folder)
    write_changed(good, papers / "changed.ledger", finished)
    yield "changed.ledger", f"a byte of entry {finished} changed", False
    own = _index_of(folder, "dataset-registered", WITNESS)
    keys: dict[str, Identity] = {name: Home(folder / name).identity() for name in ORGANISATIONS}
    write_resigned(
        good,
        papers / "resigned.ledger",
        own,
        FEDERATION,
        keys[DECEIVED],
        {0: keys[KEEPER], 1: keys[SUCCESSOR]},
    )
    yield "resigned.ledger", f"{WITNESS}'s entry {own} signed by {DECEIVED}, and chained anew", False
    write_rolled_back(good, papers / "rolled-back.ledger", before.checkpoint.size)
    yield (
        "rolled-back.ledger",
        f"{before.checkpoint.size} entries only; a later head was seen",
        True,
    )


def _finished_at(folder: Path) -> int:
    return _index_of(folder, "job-finished", KEEPER)


def _index_of(folder: Path, kind: str, author: str) -> int:
    """Return the place of an author's first entry of a kind."""
    store = Home(folder / SUCCESSOR).stored()
    try:
        said = ((entry.index, read_entry(entry.signed)) for entry in store.read())
        return next(index for index, each in said if (each.kind, each.author) == (kind, author))
    finally:
        store.close()


def _certificate(agent: Agent) -> Note:
    """Return the names by which the present keeper took over."""
    for entry in agent.clerk.store.read():
        fields = read_entry(entry.signed)
        body = decode_body(fields.kind, fields.schema, fields.body)
        if isinstance(body, KeeperChanged):
            return read_note(body.certificate)
    raise AssertionError("nobody has taken over")


# --- the data and the jobs ------------------------------------------------------------------------------
def _deal(folder: Path, seed: int) -> dict[str, int]:
    """Write the parties' files; return how many rows each has."""
    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(digits))
    cuts = (np.cumsum(PARTS)[:-1] * len(order)).round().astype(int)
    for name, mine in zip(PARTIES, np.split(order, cuts), strict=True):
        columns = [pl.Series(f"p{place:02d}", pixels[mine, place] / 16.0) for place in range(pixels.shape[1])]
        frame = pl.DataFrame({"id": [f"image-{row:04d}" for row in mine]})
        frame.with_columns(*columns, pl.Series("digit", digits[mine])).write_csv(
            folder / name / f"{DATASET}.csv"
        )
    return {name: len(mine) for name, mine in zip(PARTIES, np.split(order, cuts), strict=True)}


def _specification(job: str, parties: tuple[str, ...], seed: int) -> JobSpec:
    return JobSpec(
        job=job,
        protocol="horizontal-fedavg",
        model="softmax",
        dataset=DATASET,
        parties=tuple(sorted(parties)),
        classes=tuple(str(digit) for digit in range(10)),
        features=64,
        hyperparameters={"learning_rate": 0.5, "epochs": 2, "batch_rows": 32},
        settings={
            "rounds": ROUNDS,
            "quorum": 2,
            "round_deadline_s": 30.0,
            "silence_s": 120.0,
            "tol": 0.0,
            "patience": 0,
        },
        minimum_parties=2,
        consent_s=30.0,
        seed=seed,
    )


# --- what the agents say --------------------------------------------------------------------------------
class _Ear(logging.Handler):
    """Hears what agents cry out, as (name, words)."""

    def __init__(self) -> None:
        super().__init__(logging.CRITICAL)
        self.heard: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        name, _, words = record.getMessage().partition(": ")
        self.heard.append((name, words))


@contextmanager
def _listening() -> Iterator[list[tuple[str, str]]]:
    """Yield what the agents cry out; their log goes nowhere else meanwhile."""
    log, ear = logging.getLogger("hansa.agent"), _Ear()
    propagated, log.propagate = log.propagate, False
    log.addHandler(ear)
    try:
        yield ear.heard
    finally:
        log.removeHandler(ear)
        log.propagate = propagated
