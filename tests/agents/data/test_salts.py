"""Where salts lie: sealed, whole or not at all, and gone when they are dropped."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hansa.agents.data.commitments import commit
from hansa.agents.data.salts import MAGIC, MemorySalts, SaltFiles, Salts
from hansa.agents.errors import DataError
from tests.agents.federations import rows

SEED = bytes(range(32))
ROOTS = [bytes([each]) * 32 for each in range(3)]


@pytest.fixture
def files(tmp_path: Path) -> SaltFiles:
    return SaltFiles(tmp_path / "salts", SEED)


@pytest.fixture(params=["files", "memory"])
def salts(request: pytest.FixtureRequest, files: SaltFiles) -> Salts:
    return files if request.param == "files" else MemorySalts(SEED)


def test_what_is_written_is_read_until_it_is_dropped(salts: Salts) -> None:
    opening = commit(rows("east", 5), salts.key)
    assert salts.read("rows", ROOTS[0]) is None
    for root in ROOTS:
        salts.write(root, opening)
    found = salts.read("rows", ROOTS[0])
    assert found is not None
    assert found.content() == opening.content()
    salts.write(ROOTS[0], opening.erased([1]))
    again = salts.read("rows", ROOTS[0])
    assert again is not None
    assert again.content() == opening.erased([1]).content()
    salts.drop("rows", ROOTS[0])
    salts.drop("rows", ROOTS[0])
    salts.drop_others("rows", ROOTS[1])
    salts.drop_others("others", ROOTS[0])
    assert [salts.read("rows", root) is None for root in ROOTS] == [True, False, True]


def test_both_keepers_of_a_home_know_rows_by_the_same_tags(files: SaltFiles) -> None:
    assert files.key == MemorySalts(SEED).key != MemorySalts(bytes(32)).key


def test_files_are_the_owners_alone_and_sealed(files: SaltFiles, tmp_path: Path) -> None:
    opening = commit(rows("east", 5), files.key)
    files.write(ROOTS[0], opening)
    (path,) = (tmp_path / "salts").iterdir()
    assert path.name == f"rows.{ROOTS[0].hex()}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert opening.salt(0) not in path.read_bytes()


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-1],
        lambda content: content[: len(MAGIC) + 3],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"",
    ],
)
def test_a_damaged_file_is_refused(files: SaltFiles, tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    files.write(ROOTS[0], commit(rows("east", 5), files.key))
    (path,) = (tmp_path / "salts").iterdir()
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match="damaged, or sealed under another key"):
        files.read("rows", ROOTS[0])


def test_a_file_in_anothers_place_is_refused(files: SaltFiles, tmp_path: Path) -> None:
    files.write(ROOTS[0], commit(rows("east", 5), files.key))
    (path,) = (tmp_path / "salts").iterdir()
    path.rename(path.with_name(f"rows.{ROOTS[1].hex()}"))
    with pytest.raises(DataError, match="damaged"):
        files.read("rows", ROOTS[1])


def test_a_disk_that_fails_leaves_what_was_there(
    files: SaltFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = commit(rows("east", 5), files.key)
    files.write(ROOTS[0], opening)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="cannot be written: No space left"):
        files.write(ROOTS[0], opening.erased([0]))
    found = files.read("rows", ROOTS[0])
    assert found is not None
    assert found.salt(0) == opening.salt(0)
    assert len(list((tmp_path / "salts").iterdir())) == 1


def test_what_cannot_be_read_or_removed_is_said(files: SaltFiles, tmp_path: Path) -> None:
    (tmp_path / "salts" / f"rows.{ROOTS[0].hex()}").mkdir(parents=True)
    with pytest.raises(DataError, match="Is a directory"):
        files.read("rows", ROOTS[0])
    with pytest.raises(DataError, match="cannot be removed"):
        files.drop("rows", ROOTS[0])
