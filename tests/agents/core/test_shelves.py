"""Rows that worker processes share lie in files that nobody else can read, and go with the job."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hansa.agents.core import shelves
from hansa.agents.core.shelves import PARTS, ShelvedWorkbench, Shelves
from hansa.agents.data.benches import AlignedWorkbench
from hansa.agents.errors import DataError
from hansa.protocols import IdsWorkbench, LocalProtocolError, Workbench
from hansa.protocols.preparation import Preparation

PREPARED = Preparation((), standardised=True)
WAIT_S = 30


def bench(rows: int = 5, held_out: int = 2) -> AlignedWorkbench:
    numbers = np.arange(3.0 * (rows + held_out)).reshape(-1, 3)
    y = np.arange(float(rows + held_out))
    return AlignedWorkbench(numbers[:rows], y[:rows], numbers[rows:], y[rows:], PREPARED)


class AtOnce(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def shelved(store: Shelves, session: str = "trial", made: Workbench | None = None) -> ShelvedWorkbench:
    found = store.bench(session, lambda: made or bench(), AtOnce()).result()
    assert isinstance(found, ShelvedWorkbench)
    return found


@pytest.mark.parametrize("held_out", [0, 2])
def test_what_lies_on_the_shelf_is_what_was_lent(tmp_path: Path, held_out: int) -> None:
    lent = bench(held_out=held_out)
    found = shelved(Shelves(tmp_path / "scratch"), made=lent)
    for ours, theirs in zip(
        (*found.training(), *found.holdout()), (*lent.training(), *lent.holdout()), strict=True
    ):
        assert isinstance(ours, np.memmap)
        assert not ours.flags.writeable
        assert np.array_equal(ours, theirs)
    assert found.preparation() == PREPARED
    with pytest.raises(LocalProtocolError, match="a shelf of rows holds no model"):
        found.model()


@pytest.mark.usefixtures("open_umask")
def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    found = shelved(Shelves(folder))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, found.folder, *files(folder))}
    assert len(modes) == 2 + len(PARTS)
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes


def test_the_rows_are_laid_out_once_for_all_tasks_of_a_job(tmp_path: Path) -> None:
    store = Shelves(tmp_path / "scratch")
    made: list[int] = []

    def make() -> Workbench:
        made.append(1)
        return bench()

    futures = [store.bench(job, make, AtOnce()) for job in ("one", "one", "two")]
    assert made == [1, 1]
    assert futures[0] is futures[1]
    assert futures[0].result().folder != futures[2].result().folder  # type: ignore[attr-defined]


def test_they_go_with_their_job_and_no_other(tmp_path: Path) -> None:
    store = Shelves(tmp_path / "scratch")
    one, two = shelved(store, "one"), shelved(store, "two")
    store.clear("one")
    store.clear("three")  # has none
    assert not one.folder.exists()
    assert np.array_equal(two.training()[0], bench().training()[0])
    store.close()
    assert files(tmp_path / "scratch") == []


def test_rows_that_are_just_being_laid_out_when_the_job_ends_go_too(tmp_path: Path) -> None:
    store = Shelves(tmp_path / "scratch")
    ended = threading.Event()

    def make() -> Workbench:
        assert ended.wait(WAIT_S)
        return bench()

    with ThreadPoolExecutor(1) as executor:
        found = store.bench("trial", make, executor)
        store.clear("trial")
        ended.set()
        place = found.result(WAIT_S)
    assert isinstance(place, ShelvedWorkbench)
    assert not place.folder.exists()


def test_what_a_killed_agent_left_is_gone_when_it_starts_again(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    left = shelved(Shelves(folder))
    fresh = Shelves(folder)
    assert not folder.exists()
    again = shelved(fresh)
    assert again.folder != left.folder  # a task of before, still at work, disturbs nobody
    assert len(files(folder)) == len(PARTS)


def test_a_failing_bench_fails_for_its_job_and_a_later_one_tries_again(tmp_path: Path) -> None:
    store = Shelves(tmp_path / "scratch")

    def no_rows() -> Workbench:
        raise DataError("rows.csv: no such file")

    for _ in range(2):
        with pytest.raises(DataError, match="no such file"):
            store.bench("trial", no_rows, AtOnce()).result()
    shelved(store, "later")
    store.clear("trial")
    shelved(store, "trial")


def test_a_disk_that_fails_half_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, save = Shelves(tmp_path / "scratch"), shelves._save
    written: list[Path] = []

    def full(path: Path, array: Any) -> None:
        if len(written) == 2:
            raise OSError("no space left on device")
        written.append(path)
        save(path, array)

    monkeypatch.setattr(shelves, "_save", full)
    with pytest.raises(OSError, match="no space left"):
        store.bench("trial", bench, AtOnce()).result()
    assert files(tmp_path / "scratch") == []


def test_a_bench_that_was_never_made_is_put_away_like_any_other(tmp_path: Path) -> None:
    store = Shelves(tmp_path / "scratch")
    never: Future[Workbench] = Future()

    class Closing(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
            return never

    store.bench("trial", bench, Closing())
    store.clear("trial")
    never.cancel()
    with pytest.raises(CancelledError):
        never.result()
    assert not (tmp_path / "scratch").exists()


def test_other_benches_and_agents_without_a_folder_pass_them_as_they_are(tmp_path: Path) -> None:
    ids = IdsWorkbench(("a", "b"))
    assert Shelves(tmp_path / "scratch").bench("trial", lambda: ids, AtOnce()).result() is ids
    rows = bench()
    nowhere = Shelves(None)
    assert nowhere.bench("trial", lambda: rows, AtOnce()).result() is rows
    nowhere.clear("trial")
    assert not (tmp_path / "scratch").exists()
