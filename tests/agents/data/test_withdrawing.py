"""Rows that are withdrawn: out of every later job, their salts gone, whatever happens in between."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hansa.agents.care.backup import make_backup, restore_backup
from hansa.agents.config import DataSection
from hansa.agents.core import withdrawals
from hansa.agents.core.agent import Agent
from hansa.agents.core.journal import Changes
from hansa.agents.core.lending import training_bench
from hansa.agents.core.messages import JobSpec
from hansa.agents.core.withdrawals import SPACE, Errand, Withdrawn
from hansa.agents.data.commitments import ERASED, Opening
from hansa.agents.data.orders import AddData, WithdrawData, check_free
from hansa.agents.data.rows import Dataset, load_dataset
from hansa.agents.data.salts import SaltFiles
from hansa.agents.data.withdrawing import ProveRow, Shown, WithdrawRows
from hansa.agents.errors import DataError, JobAborted, JobError
from hansa.agents.home import SALTS, Home
from hansa.agents.jobs.orders import Submit
from hansa.agents.jobs.serving import Predict
from hansa.agents.jobs.takeaway import Export
from hansa.agents.local import AGGREGATOR, LocalFederation, Member
from hansa.agents.service.offers import offer
from hansa.agents.service.office import Office
from hansa.agents.service.orders import read_order, write_order
from hansa.ledger import DatasetRegistered, read_entry
from hansa.protocols import ModelRegistry
from tests.agents import harbour
from tests.agents.data.test_orders import Registering
from tests.agents.federations import lender, rows
from tests.agents.federations import specification as three
from tests.agents.harbour import BANK, SHOP
from tests.agents.offices import office, order

TABLE = "id,a,b,c,d,label\n" + "".join(
    f"n-{row},{row % 7},{row % 5},{row % 3},{row % 2},{'yes' if row % 7 > 3 else 'no'}\n" for row in range(40)
)
SECTION: dict[str, Any] = {"file": "cards.csv", "target": "label", "holdout": 0.25}
PARTIES = ("east", "north")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    names = tuple(f"cards-{number}" for number in range(24))
    with founded(tmp_path_factory.mktemp("rows") / "homes", names) as federation:
        yield federation


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return iter(range(24))


@pytest.fixture
def cards(numbers: Iterator[int]) -> str:
    """Return the name of a registered data set that no other test has."""
    return f"cards-{next(numbers)}"


def founded(folder: Path, names: tuple[str, ...] = ("cards",)) -> LocalFederation:
    """Found a federation in which north has registered cards, from a file, under all of these names."""
    config = {"data": {name: SECTION for name in names}}
    members = [
        Member(name, datasets={"rows": lender(rows(name))}, config=config if name == "north" else {})
        for name in PARTIES
    ]
    federation = LocalFederation.found(members, folder=folder)
    (folder / "north" / "cards.csv").write_text(TABLE)
    federation.register()
    return federation


def specification(job: str, **settings: Any) -> JobSpec:
    """Return a job of both parties."""
    return three(job, parties=PARTIES, minimum_parties=2, settings={"quorum": 2, **settings})


def opening(local: LocalFederation, dataset: str = "cards", name: str = "north") -> Opening:
    """Return what opens a registered data set now."""
    agent = local.agents[name]
    known = local.ask(name, lambda agent: agent.registered(dataset))
    assert known is not None
    kept = agent.salts.read(dataset, known.commitment)
    assert kept is not None
    return kept


def read(local: LocalFederation, dataset: str = "cards", name: str = "north") -> Dataset:
    """Return what a task would get."""
    return local.agents[name].readers[dataset]()


def withdraw(
    local: LocalFederation, *ids: str, name: str = "north", dataset: str = "cards"
) -> dict[str, Any]:
    return order(local, name, WithdrawRows(dataset, ids, "asked for"))


def gone(local: LocalFederation, dataset: str = "cards") -> frozenset[int]:
    """Return which rows of north's data everybody's ledger shows as withdrawn."""
    local.settle()
    shown = {
        local.ask(name, lambda agent: agent.clerk.standing.datasets["north", dataset].withdrawn)
        for name in local.agents
    }
    (same,) = shown
    return same


def test_withdrawn_rows_are_on_the_ledger_erased_and_kept_from_tasks(
    local: LocalFederation, cards: str
) -> None:
    before = opening(local, cards)
    told = withdraw(local, "n-3", "n-39", dataset=cards)
    assert told == {"name": cards, "rows": 2, "withdrawn": True, "erased": True}
    assert gone(local, cards) == {3, 39}
    after = opening(local, cards)
    assert [row for row in range(40) if after.salt(row) == ERASED] == [3, 39]
    assert (after.root(), after.leaves) == (before.root(), before.leaves)
    ids = read(local, cards).ids
    assert len(ids) == 38
    assert not {"n-3", "n-39"} & set(ids)
    assert after.opens(read(local, cards), gone(local, cards))


def test_the_rows_left_have_not_changed_whether_or_not_the_others_leave_the_table(
    local: LocalFederation, cards: str, caplog: pytest.LogCaptureFixture
) -> None:
    withdraw(local, "n-3", dataset=cards)
    agent, home = local.agents["north"], Home(local.folder / "north")
    offer(agent, cards, lambda: home.dataset(cards))
    table = home.path / "cards.csv"
    table.write_text("".join(line for line in TABLE.splitlines(True) if not line.startswith("n-3,")))
    offer(agent, cards, lambda: home.dataset(cards))
    assert "has changed" not in caplog.text
    table.write_text("".join(line for line in TABLE.splitlines(True) if not line.startswith("n-4,")))
    offer(agent, cards, lambda: home.dataset(cards))
    assert f"{cards} has changed since it was registered" in caplog.text
    table.write_text(TABLE)


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        (("n-1", "n-40"), "no row has id 'n-40'; nothing was withdrawn"),
        (("n-1", "n-3"), "withdrawn already: id 'n-3'; nothing"),
        (("x", "y", "z", "v", "w"), "no row has id 'x', 'y', 'z' and 2 more"),
    ],
)
def test_ids_that_cannot_be_withdrawn_are_named_and_nothing_is_written(
    local: LocalFederation, cards: str, ids: tuple[str, ...], complaint: str
) -> None:
    withdraw(local, "n-3", dataset=cards)
    local.settle()
    size = local.coordinator.clerk.head.size
    with pytest.raises(DataError, match=complaint):
        withdraw(local, *ids, dataset=cards)
    local.settle()
    assert local.coordinator.clerk.head.size == size
    assert gone(local, cards) == {3}


def test_what_is_not_registered_or_in_use_is_refused(
    local: LocalFederation, cards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="'coins' is not registered"):
        withdraw(local, "1", dataset="coins")
    spec = specification("busy", rounds=5000)
    Submit(spec).carry_out(office(local, AGGREGATOR))
    local._until(lambda: "busy" in local.ask("north", lambda agent: agent.open_jobs()), 30.0)
    with pytest.raises(DataError, match="job busy is using it"):
        withdraw(local, "1", dataset="rows")
    local.coordinator.cancel("busy", "over")
    with pytest.raises(JobAborted):
        local.run(spec)
    monkeypatch.setattr(local.agents["north"].salts, "read", lambda dataset, root: None)
    for what in (WithdrawRows(cards, ("n-1",)), ProveRow(cards, "n-1")):
        with pytest.raises(DataError, match="registered by an earlier version of hansa, or its file"):
            order(local, "north", what)


def test_more_rows_than_an_entry_takes_are_several_entries(
    local: LocalFederation, cards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawals, "MOST_LEAVES_AT_ONCE", 2)
    assert withdraw(local, *(f"n-{row}" for row in (8, 1, 5, 9, 0)), dataset=cards)["erased"]
    assert gone(local, cards) == {0, 1, 5, 8, 9}
    fields = [read_entry(entry.signed) for entry in local.coordinator.clerk.store.read()]
    assert sum(each.kind == "rows-withdrawn" and cards.encode() in each.body for each in fields) == 3


def test_a_later_job_trains_without_them_and_the_earlier_one_is_marked(
    local: LocalFederation, cards: str
) -> None:
    local.run(specification("first"))
    withdraw(local, "3", "7", dataset="rows")
    local.run(specification("second"))
    bench = training_bench(specification("x"), ModelRegistry(), local.agents["north"].readers)
    trained, evaluated = bench.training(), bench.holdout()
    assert len(trained[0]) + len(evaluated[0]) == 58
    jobs = local.coordinator.clerk.standing.jobs
    assert jobs["first"].withdrawn == {"north": 2}
    assert jobs["second"].withdrawn == {}
    assert jobs["second"].shares["north"] == len(trained[0]) < jobs["first"].shares["east"]


def test_a_replaced_data_set_is_registered_without_them(local: LocalFederation, cards: str) -> None:
    withdraw(local, "n-3", dataset=cards)
    at = office(local, "north")
    north = Office(at.home, at.agent, at.transport, Registering(local=local))
    told = AddData(cards, SECTION, replace=True).carry_out(north)
    assert told == {"name": cards, "registered": True, "rows": 39}
    assert gone(local, cards) == frozenset()
    assert len(list((local.folder / "north" / SALTS).glob(f"{cards}.*"))) == 1
    with pytest.raises(DataError, match="withdrawn already: id 'n-3'"):
        withdraw(local, "n-3", dataset=cards)
    assert withdraw(local, "n-4", dataset=cards)["erased"]
    assert not {"n-3", "n-4"} & set(read(local, cards).ids)
    assert len(read(local, cards).ids) == 38


def test_of_a_data_set_that_is_withdrawn_all_salts_go(local: LocalFederation, cards: str) -> None:
    at = office(local, "north")
    north = Office(at.home, at.agent, at.transport, Registering(local=local))
    WithdrawData(cards, "enough").carry_out(north)
    local.settle()
    assert not list((local.folder / "north" / SALTS).glob(f"{cards}.*"))
    withdraw(local, *rows("east").ids, name="east", dataset="rows")
    with pytest.raises(DataError, match="party east without 60 withdrawn rows: data set 'rows' has no other"):
        local.agents["east"].register(rows("east"))


def test_a_data_set_of_an_earlier_version_is_still_known_by_its_one_salt(
    local: LocalFederation, cards: str, caplog: pytest.LogCaptureFixture
) -> None:
    at = office(local, "north")
    north = Office(at.home, at.agent, at.transport, Registering(local=local))
    WithdrawData(cards, "to be registered as of old").carry_out(north)
    local.settle()
    agent, salt = local.agents["north"], b"s" * 32
    dataset = load_dataset(cards, DataSection(**SECTION), at.home.path)

    def register() -> None:
        agent._desk.changes.put("salt", cards.encode(), salt)
        agent.write(DatasetRegistered(cards, 40, dataset.columns, "label", dataset.commitment(salt)))

    agent.ask(register).result(30)
    local.settle()
    offer(agent, cards, lambda: dataset)
    assert "has changed" not in caplog.text
    offer(agent, cards, lambda: replace(dataset, numbers=dataset.numbers + 1))
    assert f"{cards} has changed" in caplog.text
    with pytest.raises(DataError, match="registered by an earlier version"):
        withdraw(local, "n-3", dataset=cards)
    WithdrawData(cards, "enough").carry_out(north)
    local.settle()
    assert cards.encode() not in agent._journal.load("salt")


def test_a_disk_that_fails_is_tried_again(
    local: LocalFederation, cards: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(withdrawals, "RETRY_S", 0.05)
    write = SaltFiles.write
    failures: list[bytes] = []

    def full(self: SaltFiles, root: bytes, kept: Opening) -> None:
        if not failures:
            failures.append(root)
            raise DataError("no space left")
        write(self, root, kept)

    monkeypatch.setattr(SaltFiles, "write", full)
    assert withdraw(local, "n-3", dataset=cards)["erased"]
    assert "salts of withdrawn rows are still here: no space left" in caplog.text
    assert opening(local, cards).salt(3) == ERASED


def test_salts_of_a_registration_that_never_came_are_dropped(local: LocalFederation, cards: str) -> None:
    agent, kept = local.agents["north"], opening(local, cards)
    other = bytes(32)
    agent.salts.write(other, kept)
    local.ask("north", lambda agent: agent.withdrawals.tidy(cards, other))
    assert agent.salts.read(cards, other) is not None  # perhaps on its way to the ledger
    withdraw(local, "n-3", dataset=cards)
    assert agent.salts.read(cards, other) is None
    agent.salts.write(other, kept)
    offer(agent, cards, lambda: Home(local.folder / "north").dataset(cards))
    assert agent.salts.read(cards, other) is None


def test_a_data_set_that_changes_while_its_rows_are_looked_for_is_said(
    local: LocalFederation, cards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Shown] = []

    def shown(agent: Agent, name: str) -> Shown:
        seen.append(Shown(len(seen), opening_root, frozenset()))
        return seen[-1]

    opening_root = opening(local, cards).root()
    monkeypatch.setattr("hansa.agents.data.withdrawing._shown", shown)
    with pytest.raises(DataError, match="has changed on the ledger at this very moment; try again"):
        withdraw(local, "n-3", dataset=cards)


def test_data_sets_without_their_withdrawn_rows_are_as_many_as_with_them(local: LocalFederation) -> None:
    agent = local.agents["north"]
    assert set(agent.readers) == set(agent.datasets)
    assert len(agent.readers) == len(agent.datasets)


@pytest.mark.parametrize("here", [True, False])
def test_rows_of_a_data_set_that_is_replaced_meanwhile_stay_out(
    local: LocalFederation, cards: str, here: bool
) -> None:
    """Their salts were being erased when the registration they were of ended."""
    agent, kept = local.agents["north"], opening(local, cards)
    former, done = bytes([7]) * 32, Future[dict[int, bytes] | None]()
    done.set_result({3: kept.tag(3)} if here else None)
    errand = Errand(cards, former, whole=False, leaves=frozenset((3,)))
    local.ask("north", lambda agent: agent.withdrawals._finish(0.0, errand, done))
    assert ("n-3" in read(local, cards).ids) == (not here)
    assert agent.withdrawals.of(cards).root == b""
    assert agent.salts.read(cards, kept.root()) is not None


def test_a_keeper_that_is_slow_is_said(
    local: LocalFederation, cards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.agents.data.orders.CHAINED_S", -1.0)
    monkeypatch.setattr("hansa.agents.data.withdrawing._is_chained", lambda *given: False)
    told = withdraw(local, "n-3", dataset=cards)
    assert (told["withdrawn"], told["erased"]) == (False, False)
    assert "n-3" not in read(local, cards).ids
    assert gone(local, cards) == {3}


def test_while_rows_are_on_their_way_no_others_follow(
    local: LocalFederation, cards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, kept = local.agents["north"], opening(local, cards)
    pending = Withdrawn(kept.root(), frozenset((3,)), 0, frozenset((kept.tag(3),)))
    local.ask("north", lambda agent: agent.withdrawals._note(cards, pending))
    with monkeypatch.context() as patch:
        patch.setattr(agent.clerk, "waiting", lambda: True)
        with pytest.raises(DataError, match="rows withdrawn before are still on the way to the keeper"):
            withdraw(local, "n-4", dataset=cards)
        with pytest.raises(DataError, match="row 'n-3' is withdrawn"):
            order(local, "north", ProveRow(cards, "n-3"))
    assert withdraw(local, "n-3", "n-4", dataset=cards)["erased"]


def test_a_refused_entry_may_be_written_again(local: LocalFederation, cards: str) -> None:
    """Rows kept out for an entry that never came to the chain are withdrawn by the next one."""
    agent, kept = local.agents["north"], opening(local, cards)
    root = kept.root()
    local.ask(
        "north",
        lambda agent: agent.withdrawals._note(
            cards, Withdrawn(root, frozenset((3,)), 0, frozenset((kept.tag(3),)))
        ),
    )
    assert "n-3" not in read(local, cards).ids
    local._until(lambda: not local.ask("north", lambda agent: agent.clerk.waiting()), 30.0)
    assert withdraw(local, "n-3", "n-4", dataset=cards)["rows"] == 2
    assert agent.withdrawals.of(cards).erased == 2


# --- crashes, and homes that know less than the ledger ----------------------------------------------------
KILLED = """
import os, signal, sys
from pathlib import Path
from hansa.agents.core.withdrawals import Errand
from tests.agents.data.test_withdrawing import founded, withdraw
Errand.run = lambda self, salts: os.kill(os.getpid(), signal.SIGKILL)
withdraw(founded(Path(sys.argv[1])), "n-3", "n-5")
"""


def test_a_process_killed_between_entry_and_erasure_erases_at_the_next_start(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "homes")], timeout=120, check=False, cwd=os.getcwd()
    )
    assert run.returncode == -signal.SIGKILL
    with LocalFederation.open(tmp_path / "homes") as local:
        assert "n-3" not in read(local).ids
        local._until(lambda: opening(local).salt(3) == opening(local).salt(5) == ERASED, 30.0)
        assert gone(local) == {3, 5}
        assert local.agents["north"].withdrawals.of("cards").erased == 2


def forget(home: Home, dataset: str = "cards") -> None:
    """Have a journal know nothing of withdrawn rows, as one of an older backup does."""
    with closing(home.journal(home.identity())) as journal:
        changes = Changes()
        changes.drop(SPACE, dataset.encode())
        journal.commit(changes)


def test_a_restored_home_learns_from_the_ledger_which_rows_are_out(tmp_path: Path) -> None:
    home = Home(tmp_path / "homes" / "north")
    with founded(tmp_path / "homes") as local:
        made = make_backup(home, tmp_path / "north.backup")
        withdraw(local, "n-3")
        local.settle()
    restore_backup(made.path, tmp_path / "restored")
    shutil.rmtree(home.path / SALTS)
    shutil.move(tmp_path / "restored" / SALTS, home.path)
    forget(home)
    with LocalFederation.open(tmp_path / "homes") as local:
        local._until(lambda: opening(local).salt(3) == ERASED, 30.0)
        local.settle()
        assert "n-3" not in read(local).ids
        assert len(read(local).ids) == 39


def test_without_the_file_no_job_gets_any_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with founded(tmp_path / "homes") as local:
        withdraw(local, "n-3")
        local.settle()
    shutil.rmtree(tmp_path / "homes" / "north" / SALTS)
    forget(Home(tmp_path / "homes" / "north"))
    with LocalFederation.open(tmp_path / "homes") as local:
        local.settle()
        with pytest.raises(DataError, match="shows rows as withdrawn, and which is not known here"):
            read(local)
        assert "the file that tells which is not here" in caplog.text


def test_a_file_lost_before_the_erasure_has_nothing_left_to_erase(local: LocalFederation, cards: str) -> None:
    agent, kept = local.agents["north"], opening(local, cards)
    nowhere = Errand(cards, bytes(32), whole=False, leaves=frozenset((1,)))
    assert nowhere.run(agent.salts) is None

    def lose() -> None:
        agent.withdrawals.begin(cards, kept.root(), {3: kept.tag(3)}, "")
        agent.salts.drop(cards, kept.root())

    agent.ask(lose).result(30)
    local.settle()
    assert agent.withdrawals.of(cards).erased == 1


# --- alignment, vertical training, predictions ------------------------------------------------------------
def test_vertical_jobs_do_without_withdrawn_rows(tmp_path: Path) -> None:
    with harbour.found(tmp_path / "homes") as local:
        harbour.run(local, "align-1")
        harbour.run(local, "risk-1", alignment="align-1", epochs=1)
        shared = ids_of(local, BANK, "align-1")
        mine, theirs = shared[0], shared[1]
        withdraw(local, mine, name=BANK, dataset="customers")
        withdraw(local, theirs, name=SHOP, dataset="customers")
        local.settle()
        for party in (BANK, SHOP):
            with pytest.raises(JobError, match="other rows than when they were compared"):
                ids_of(local, party, "align-1")
        with pytest.raises(JobAborted):  # nor does a training get them by the old alignment
            harbour.run(local, "risk-2", alignment="align-1")
        harbour.run(local, "align-2")
        for party in (BANK, SHOP):
            assert set(ids_of(local, party, "align-2")) == set(shared) - {mine, theirs}
        harbour.run(local, "risk-3", alignment="align-2", epochs=1)
        jobs = local.coordinator.clerk.standing.jobs
        assert jobs["risk-1"].withdrawn == {BANK: 1, SHOP: 1}
        assert jobs["risk-3"].withdrawn == {}
        check_predictions(local, mine, theirs, shared[2])
        part = Path(order(local, BANK, Export("risk-1", "json"))["file"]).read_text()
        assert '"withdrawn": {\n   "bank": 1,\n   "shop": 1\n  }' in part


def ids_of(local: LocalFederation, party: str, job: str) -> list[str]:
    told = order(local, party, Export(job, "csv"))
    return Path(told["file"]).read_text().splitlines()[1:]


def check_predictions(local: LocalFederation, mine: str, theirs: str, other: str) -> None:
    told = order(local, BANK, Predict("risk-1", ids=(mine, theirs, other)))
    assert (told["unknown"], told["rows"], told["withdrawn"]) == ([mine], 2, {BANK: 1, SHOP: 1})
    local._until(lambda: local.ask(BANK, lambda agent: agent.outcome(told["job"])) is not None, 60.0)
    local.settle()
    made = order(local, BANK, Export(told["job"], "csv"))
    assert (made["rows"], made["unknown"]) == (1, [theirs])


def test_a_data_set_that_the_guest_asks_about_is_in_use(tmp_path: Path) -> None:
    class Busy:
        name = BANK

        def open_jobs(self) -> tuple[str, ...]:
            return ("risk-p1",)

        def spec(self, job: str) -> Any:
            settings: dict[str, Any] = {"model": "risk", "output": "score", "rows": "others", "most_rows": 3}
            return replace(
                specification(job), protocol="vertical-inference", parties=(SHOP,), settings=settings
            )

    agent: Any = Busy()
    with pytest.raises(DataError, match="job risk-p1 is using it"):
        check_free(agent, "others")
    check_free(agent, "rows")


def test_an_order_to_withdraw_rows_travels_whole_and_tells_no_ids() -> None:
    for what in (WithdrawRows("rows", ("a", "b"), "x"), ProveRow("rows", "a")):
        assert read_order(write_order(what)) == what
    assert "'a'" not in repr(WithdrawRows("rows", ("a",)))


def test_what_the_journal_has_is_read_back() -> None:
    known = Withdrawn(bytes(32), frozenset((1, 2**40)), 1, frozenset((b"t" * 16, b"u" * 16)), b"r" * 32)
    assert Withdrawn.unpacked(known.packed()) == known
    many = Withdrawn(b"", frozenset(range(100_000)), 7, frozenset(row.to_bytes(16) for row in range(100_000)))
    assert Withdrawn.unpacked(many.packed()) == many
    assert known.under(b"other") == replace(known, root=b"other", leaves=frozenset(), erased=0)
