"""A home in one file, and back: whole, untouched on the way, and never half written."""

import hashlib
import io
import json
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.agents.care import archive
from hansa.agents.care.archive import ENTRIES, MANIFEST, ArchiveWriter, Manifest
from hansa.agents.care.backup import make_backup, restore_backup
from hansa.agents.care.beside import BESIDE
from hansa.agents.care.doctor import Patient, examine
from hansa.agents.care.sealing import CHUNK_BYTES, MAGIC, SealedReader, SealedWriter
from hansa.agents.cli import main
from hansa.agents.cli.backup import _size
from hansa.agents.cli.doctor import CHECKS
from hansa.agents.core.journal import RESTORED, Changes, SqliteJournal, mark_restored, pack_row, unpack_row
from hansa.agents.errors import BackupError, ConfigError, JournalError
from hansa.agents.home import JOURNAL, Home
from hansa.broker import Identity
from hansa.ledger import Checkpoint, LedgerError, LedgerStore, Note, Replica
from hansa.ledger.checkpoints import sign_checkpoint
from tests import postgres
from tests.agents.federations import found, specification

LATER_S = 1_900_000_000.0


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The homes of a federation that has done one job."""
    folder = tmp_path_factory.mktemp("town") / "homes"
    with found(folder) as federation:
        assert federation.run(specification()).outcome == "finished"
    Home(folder / "north").files().write(b"a" * 16, 0, b"a chunk")  # small models leave none
    return folder


@pytest.fixture
def home(town: Path) -> Home:
    return Home(town / "north")


def said(home: Home) -> list[bytes]:
    with closing(home.stored()) as store:
        return [entry.hash for entry in store.read()]


# --- there and back -------------------------------------------------------------------------------------
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_restored_home_holds_what_was_backed_up(
    home: Home, tmp_path: Path, passphrase: bytes | None
) -> None:
    made = make_backup(home, tmp_path / "north.backup", passphrase)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert made.bytes == made.path.stat().st_size
    assert made.in_clear == (passphrase is None)
    manifest = restore_backup(made.path, tmp_path / "new", passphrase, now_s=LATER_S)
    assert manifest == made.manifest
    new = Home(tmp_path / "new")
    assert stat.S_IMODE(new.path.stat().st_mode) == 0o700
    assert new.identity().public == home.identity().public
    assert new.config() == home.config()
    assert said(new) == said(home)
    assert not (new.path / ENTRIES).exists()
    assert new.files().ids() == [b"a" * 16]
    assert new.files().read(b"a" * 16, 0) == b"a chunk"
    with closing(new.journal(new.identity())) as journal, closing(home.journal(home.identity())) as old:
        for space in ("seen", "machine", "result"):
            assert journal.load(space) == old.load(space) != {}
        assert unpack_row(journal.load("meta")[RESTORED[1]]) == [int(LATER_S * 1000), []]
    assert sorted(tmp_path.iterdir()) == [new.path, made.path]  # nothing is left beside them


def test_a_sealed_backup_shows_nothing_of_the_home(home: Home, tmp_path: Path) -> None:
    make_backup(home, tmp_path / "open")
    make_backup(home, tmp_path / "sealed", b"correct horse")
    for word in (b"aggregator", b"agent.toml", b"hansa-identity-1"):
        assert word in (tmp_path / "open").read_bytes()
        assert word not in (tmp_path / "sealed").read_bytes()


def test_an_agent_at_work_is_backed_up_as_of_one_commit(town: Path, tmp_path: Path) -> None:
    with found(tmp_path / "homes") as federation:
        federation.run(specification())
        home = Home(tmp_path / "homes" / "east")
        made = make_backup(home, tmp_path / "east.backup")
    restore_backup(made.path, tmp_path / "new")
    assert said(Home(tmp_path / "new")) == said(home)[: made.manifest.entries]


def test_an_agent_without_a_federation_has_a_backup_too(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home", Identity.generate("north"), {"agent": {"name": "north"}})
    make_backup(home, tmp_path / "file")
    manifest = restore_backup(tmp_path / "file", tmp_path / "new")
    assert (manifest.federation, manifest.entries) == ("", 0)
    assert Home(tmp_path / "new").identity().public == home.identity().public
    assert not (tmp_path / "new" / "ledger.sqlite").exists()


def test_a_member_that_has_no_copy_yet_has_a_backup_too(home: Home, tmp_path: Path) -> None:
    fresh = Home.create(
        tmp_path / "home",
        home.identity(),
        home.config().model_dump(by_alias=True, mode="json", exclude_none=True),
    )
    make_backup(fresh, tmp_path / "file")
    assert restore_backup(tmp_path / "file", tmp_path / "new").entries == 0


def test_files_that_the_configuration_names_come_along_if_they_lie_in_the_home(tmp_path: Path) -> None:
    outside = tmp_path / "outside.pem"
    outside.write_text("certificate")
    config = {
        "agent": {"name": "north"},
        "broker": {
            "url": "amqps://north@host/town",
            "password_file": "broker.password",
            "ca_file": str(outside),
            "cert_file": "../outside.pem",
        },
        "data": {
            "loans": {"query": "select 1", "url": "sqlite:///x", "password_file": "keys/loans.password"}
        },
    }
    home = Home.create(tmp_path / "home", Identity.generate("north"), config)
    (home.path / "broker.password").write_text("secret")
    (home.path / "keys").mkdir()
    (home.path / "keys" / "loans.password").write_text("other")
    manifest = make_backup(home, tmp_path / "file").manifest
    assert manifest.left_out == (str(outside), "../outside.pem")
    restore_backup(tmp_path / "file", tmp_path / "new")
    assert (tmp_path / "new" / "broker.password").read_text() == "secret"
    assert stat.S_IMODE((tmp_path / "new" / "broker.password").stat().st_mode) == 0o600
    assert (tmp_path / "new" / "keys" / "loans.password").read_text() == "other"


def test_keys_under_a_passphrase_are_not_in_clear(home: Home, tmp_path: Path) -> None:
    guarded = Home.create(tmp_path / "home", home.identity(), {"agent": {"name": "north"}})
    (guarded.path / "identity.key").unlink()
    home.identity().save(guarded.path / "identity.key", b"correct horse")
    assert not make_backup(guarded, tmp_path / "file").in_clear


def test_keys_that_cannot_be_read_as_such_count_as_clear(home: Home, tmp_path: Path) -> None:
    broken = Home.create(tmp_path / "home", home.identity(), {"agent": {"name": "north"}})
    (broken.path / "identity.key").write_text("not a key")
    assert make_backup(broken, tmp_path / "file").in_clear


# --- making: what is refused ----------------------------------------------------------------------------
def test_a_backup_is_never_written_over_anything(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(BackupError, match="never written over"):
        make_backup(home, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "dear"


def test_a_backup_that_cannot_be_written_leaves_nothing(home: Home, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="No such file"):
        make_backup(home, tmp_path / "missing" / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_broken_is_not_backed_up_in_part(home: Home, tmp_path: Path) -> None:
    broken = Home.create(tmp_path / "home", home.identity(), {"agent": {"name": "north"}})
    (broken.path / JOURNAL).write_text("no database" * 100)
    with pytest.raises(JournalError, match="cannot copy the journal"):
        make_backup(broken, tmp_path / "file")
    (broken.path / "agent.toml").write_text("agent = 1")
    with pytest.raises(ConfigError):
        make_backup(broken, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_chunk_that_goes_meanwhile_is_left_out(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ArchiveWriter.add

    def gone(writer: ArchiveWriter, name: str, path: Path) -> None:
        if name.startswith("chunks/"):
            raise FileNotFoundError(path)
        add(writer, name, path)

    monkeypatch.setattr(ArchiveWriter, "add", gone)
    manifest = make_backup(home, tmp_path / "file").manifest
    assert not any(name.startswith("chunks/") for name in manifest.files)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with closing(ArchiveWriter(io.BytesIO())) as writer, path.open("rb") as file:
        with pytest.raises(OSError, match="unexpected end"):
            writer._add("file", archive._Counted(file, 200))


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", ".hidden", "a/../b", "", "a\nb", "x" * 300])
def test_a_name_that_leads_elsewhere_is_written_into_no_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BackupError, match="rename it"):
        ArchiveWriter(io.BytesIO()).add(name, tmp_path / "file")


# --- the way back: what is refused ----------------------------------------------------------------------
@pytest.fixture(scope="module")
def backup(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backup(Home(town / "north"), tmp_path_factory.mktemp("backup") / "north.backup").path


@pytest.fixture(scope="module")
def sealed(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("backup") / "north.sealed"
    return make_backup(Home(town / "north"), file, b"correct horse").path


def refused(content: bytes, tmp_path: Path, passphrase: bytes | None = None) -> str:
    """Return why a file is not restored, after checking that nothing is left of the attempt."""
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(BackupError) as caught:
        restore_backup(file, tmp_path / "new", passphrase)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    file.unlink()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_folder_in_use_is_left_alone(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "dear").touch()
    for place in (tmp_path / "new", tmp_path / "new" / "dear"):
        with pytest.raises(BackupError, match="not empty"):
            restore_backup(backup, place)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["dear"]


def test_an_empty_folder_may_be_there_already(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    restore_backup(backup, tmp_path / "new")
    assert Home(tmp_path / "new").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="nothing: No such file"):
        restore_backup(tmp_path / "nothing", tmp_path / "new")


def test_a_cut_file_is_refused_wherever_it_was_cut(backup: Path, sealed: Path, tmp_path: Path) -> None:
    for file, passphrase in ((backup, None), (sealed, b"correct horse")):
        content = file.read_bytes()
        end = len(content) - 12_000  # what follows are zeros, and the end of the manifest
        for share in (0.0, 0.001, 0.3, 0.7, 0.99):
            assert refused(content[: int(end * share)], tmp_path, passphrase)


def test_a_flipped_byte_is_found(backup: Path, tmp_path: Path) -> None:
    content = backup.read_bytes()
    for place in range(600, len(content) - 20_000, len(content) // 23):
        if content[place]:  # in a file's content or a header, not in tar's padding
            refused(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], tmp_path)


def test_a_sealed_backup_opens_under_its_passphrase_only(sealed: Path, tmp_path: Path) -> None:
    content = sealed.read_bytes()
    assert "--passphrase-file" in refused(content, tmp_path)
    assert "the passphrase is another" in refused(content, tmp_path, b"battery staple")
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    assert "damaged" in refused(flipped, tmp_path, b"correct horse")
    assert "beginning is damaged" in refused(MAGIC + b"\xff" * 17, tmp_path, b"correct horse")


Members = dict[str, bytes]


def repacked(file: Path, change: Callable[[Members], None]) -> bytes:
    """Return an archive whose members were changed; `change` may repair the manifest."""
    with tarfile.open(file) as tar:
        members = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    change(members)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def without(name: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        del members[name]

    return change


def test_what_no_backup_holds_is_refused(backup: Path, tmp_path: Path) -> None:
    def first(name: str) -> Callable[[Members], None]:
        def change(members: Members) -> None:
            members.update({name: b"x", MANIFEST: members.pop(MANIFEST)})

        return change

    for name in ("../evil", "/tmp/evil", "a/../../evil", ".ssh"):
        assert f"it holds {name!r}" in refused(repacked(backup, first(name)), tmp_path)
    assert "stray is not what its manifest says" in refused(repacked(backup, first("stray")), tmp_path)
    assert "follows its manifest" in refused(repacked(backup, lambda m: m.update(z=b"")), tmp_path)
    assert "manifest is missing" in refused(repacked(backup, without(MANIFEST)), tmp_path)
    assert "agent.toml is not" in refused(repacked(backup, without("agent.toml")), tmp_path)


def test_links_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        content = json.dumps({"format": 1}).encode()
        info = tarfile.TarInfo("format")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("identity.key")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert "it holds 'identity.key'" in refused(out.getvalue(), tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"format": 2}', "format 2; this version of hansa reads up to 1: upgrade"),
        (b'{"format": "1"}', "no backup of hansa's"),
        (b"[]", "no backup of hansa's"),
        (b"{", "not readable"),
    ],
)
def test_another_format_is_refused_before_anything_is_read(
    backup: Path, tmp_path: Path, content: bytes, expected: str
) -> None:
    assert expected in refused(repacked(backup, lambda m: m.update(format=content)), tmp_path)


def test_another_archive_is_no_backup(tmp_path: Path) -> None:
    assert "no backup" in refused(b"PK\x03\x04" + bytes(2_000), tmp_path)
    out = io.BytesIO()
    tarfile.open(fileobj=out, mode="w").close()
    assert "no backup of hansa's" in refused(out.getvalue(), tmp_path)
    directory = io.BytesIO()
    with tarfile.open(fileobj=directory, mode="w") as tar:
        folder = tarfile.TarInfo("format")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert "not what it should be" in refused(directory.getvalue(), tmp_path)


def test_a_manifest_that_is_none_is_refused(backup: Path, tmp_path: Path) -> None:
    for manifest in (b"{}", b"[]", b'{"files": {"a": {}}}', b'{"files": {}, "left_out": []}'):
        broken = {MANIFEST: manifest}
        assert "manifest is malformed" in refused(repacked(backup, lambda m: m.update(broken)), tmp_path)  # noqa: B023


def retold(members: Members, name: str, content: bytes | None, **fields: object) -> None:
    """Change a member and have the manifest say so: what only its meaning can give away."""
    told = json.loads(members.pop(MANIFEST))
    if content is None:
        members.pop(name, None)
        told["files"].pop(name, None)
    else:
        members[name] = content
        told["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    members[MANIFEST] = json.dumps(told | fields).encode()


def test_a_manifest_that_fits_does_not_make_another_ledger_right(backup: Path, tmp_path: Path) -> None:
    with tarfile.open(backup) as tar:
        entries = tar.extractfile(ENTRIES).read()  # type: ignore[union-attr]

    def altered(content: bytes, **fields: object) -> str:
        return refused(repacked(backup, lambda m: retold(m, ENTRIES, content, **fields)), tmp_path)

    length = int.from_bytes(entries[:4])
    assert "ends elsewhere" in altered(entries[: 4 + length])
    flipped = entries[:200] + bytes([entries[200] ^ 1]) + entries[201:]
    assert "its ledger does not fit" in altered(flipped)
    assert "malformed" in altered((1).to_bytes(4) + b"\x90")
    assert "malformed" in altered((9).to_bytes(4) + b"\x90")


def test_a_backup_of_two_agents_at_once_is_refused(backup: Path, tmp_path: Path) -> None:
    renamed = repacked(backup, lambda m: retold(m, "none", None, agent="south"))
    assert "of south, with the agent.toml of north" in refused(renamed, tmp_path)
    keyless = repacked(backup, lambda m: retold(m, "identity.key", None))
    assert "identity.key missing in it" in refused(keyless, tmp_path)


# --- beside the ledger's entries ------------------------------------------------------------------------
@pytest.fixture
def knowing(town: Path, tmp_path: Path) -> Home:
    """A home whose ledger has a signed head, evidence, and entries that were replaced."""
    home, _ = moved(town, tmp_path)
    with closing(home.store()) as store:
        head = Checkpoint("hansa", bytes(32), 3, bytes(32), 0, "aggregator")
        store.add_checkpoint(Note(head.text, (sign_checkpoint(home.identity(), head),)))
        store.add_evidence("fork", b"two heads")
        store.set_aside(store.head().size - 1)
    return home


def beside(home: Home) -> tuple[object, ...]:
    with closing(home.stored()) as store:
        return list(store.checkpoints()), list(store.evidence()), list(store.superseded())


def test_what_lies_beside_a_ledger_comes_along(knowing: Home, tmp_path: Path) -> None:
    before = beside(knowing)
    assert all(before)
    make_backup(knowing, tmp_path / "file")
    restore_backup(tmp_path / "file", tmp_path / "kept")  # where it outlived the home, nothing is there twice
    assert beside(Home(tmp_path / "kept")) == before
    for file in tmp_path.glob("elsewhere.sqlite*"):
        file.unlink()
    restore_backup(tmp_path / "file", tmp_path / "new")
    assert beside(Home(tmp_path / "new")) == before
    assert not (tmp_path / "new" / BESIDE).exists()


def test_a_backup_of_an_earlier_version_has_nothing_beside_its_ledger(knowing: Home, tmp_path: Path) -> None:
    make_backup(knowing, tmp_path / "file")
    before = said(knowing)
    for file in tmp_path.glob("elsewhere.sqlite*"):
        file.unlink()
    earlier = tmp_path / "earlier"
    earlier.write_bytes(repacked(tmp_path / "file", lambda m: retold(m, BESIDE, None)))
    restore_backup(earlier, tmp_path / "new")
    assert said(Home(tmp_path / "new")) == before
    assert beside(Home(tmp_path / "new")) == ([], [], [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (pack_row("note", b"none"), "a note is a text"),
        (pack_row("evidence", "gossip", b""), "expected evidence of"),
        (pack_row("replaced", 1, b"", b"", b"", b"", b""), ""),
        (pack_row("herring"), "a row of 1 fields"),
        (b"\x90\x90", "malformed"),
    ],
)
def test_a_row_beside_a_ledger_that_is_none_is_refused(
    knowing: Home, tmp_path: Path, row: bytes, reason: str
) -> None:
    make_backup(knowing, tmp_path / "file")
    content = len(row).to_bytes(4) + row
    changed = tmp_path / "changed"
    changed.write_bytes(repacked(tmp_path / "file", lambda m: retold(m, BESIDE, content)))
    with pytest.raises(BackupError, match=f"altered: beside its ledger: .*{reason}"):
        restore_backup(changed, tmp_path / "new")


# --- a ledger elsewhere ---------------------------------------------------------------------------------
def moved(town: Path, tmp_path: Path) -> tuple[Home, Path]:
    """Return a home whose ledger lies outside it, where it outlives the home."""
    north = Home(town / "north")
    place = tmp_path / "elsewhere.sqlite"
    config = north.config().model_dump(by_alias=True, mode="json", exclude_none=True)
    home = Home.create(
        tmp_path / "home", north.identity(), config | {"ledger": {"url": f"sqlite:///{place}"}}
    )
    with closing(home.store(create=True)) as store, closing(north.stored()) as entries:
        store.append(list(entries.read())[:-2])
    return home, place


def test_a_ledger_that_outlived_the_home_is_kept_where_it_is_newer(town: Path, tmp_path: Path) -> None:
    home, _ = moved(town, tmp_path)
    make_backup(home, tmp_path / "file")
    with closing(home.store()) as store, closing(Home(town / "north").stored()) as entries:
        store.append(list(entries.read())[-2:])
    restore_backup(tmp_path / "file", tmp_path / "new")
    assert said(Home(tmp_path / "new")) == said(Home(town / "north"))


def test_a_ledger_that_is_gone_is_written_again(town: Path, tmp_path: Path) -> None:
    home, place = moved(town, tmp_path)
    before = said(home)
    make_backup(home, tmp_path / "file")
    for file in tmp_path.glob("elsewhere.sqlite*"):
        file.unlink()
    restore_backup(tmp_path / "file", tmp_path / "new")
    assert place.exists()
    assert said(Home(tmp_path / "new")) == before


@pytest.mark.parametrize(("jobs", "expected"), [(0, "does not fit"), (2, "another ledger")])
def test_another_ledger_at_the_address_is_not_touched(
    town: Path, tmp_path: Path, jobs: int, expected: str
) -> None:
    home, place = moved(town, tmp_path)
    make_backup(home, tmp_path / "file")
    for file in tmp_path.glob("elsewhere.sqlite*"):
        file.unlink()
    with found(tmp_path / "other") as other:  # shorter than the backup's without jobs, longer with two
        for number in range(jobs):
            other.run(specification(f"trial-{number}"))
    other_said = said(Home(tmp_path / "other" / "aggregator"))
    with (
        closing(LedgerStore.open(place)) as store,
        closing(Home(tmp_path / "other" / "north").stored()) as source,
    ):
        store.append(list(source.read()))
    with pytest.raises(BackupError, match=expected):
        restore_backup(tmp_path / "file", tmp_path / "new")
    assert said(home) == other_said
    assert not (tmp_path / "new").exists()


def test_a_ledger_in_postgresql_comes_along_and_is_found_well(town: Path, tmp_path: Path) -> None:
    north = Home(town / "north")
    server = postgres.shared()
    name = server.create()
    config = north.config().model_dump(by_alias=True, mode="json", exclude_none=True)
    home = Home.create(
        tmp_path / "home", north.identity(), config | {"ledger": {"url": server.address(name)}}
    )
    with closing(home.store(create=True)) as store, closing(north.stored()) as entries:
        store.append(list(entries.read()))
    looks = [check for check in CHECKS if check.area in ("configuration", "keys", "ledger", "clock")]
    assert {each.verdict for each in examine(Patient(home), looks)} == {"ok"}
    make_backup(home, tmp_path / "file")
    server.drop(name)
    with pytest.raises(LedgerError):
        restore_backup(tmp_path / "file", tmp_path / "new")  # the server is there, the database is not
    assert not (tmp_path / "new").exists()
    with server.connected("postgres") as connection:
        connection.autocommit = True
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    restore_backup(tmp_path / "file", tmp_path / "new")
    assert said(Home(tmp_path / "new")) == said(north)
    server.drop(name)


# --- the mark -------------------------------------------------------------------------------------------
def test_a_mark_is_found_under_the_home_key_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    mark_restored(path, 5)
    mark_restored(path, 7, ["west", "east"])  # a restored backup of a restored home that never ran
    for _ in range(2):
        with closing(SqliteJournal(path, bytes(32))) as journal:
            assert unpack_row(journal.load("meta")[b"restored"]) == [7, ["west", "east"]]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'restored'").fetchone() == (
            0,
        )


def test_what_is_no_journal_is_not_marked(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("no database" * 100)
    with pytest.raises(JournalError, match="cannot mark"):
        mark_restored(tmp_path / JOURNAL, 5)


def test_a_journal_of_before_stays_as_it_is_under_the_mark(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    with closing(SqliteJournal(path, bytes(32))) as journal:
        changes = Changes()
        changes.put("machine", b"job", b"state")
        journal.commit(changes)
    mark_restored(path, 7)
    with closing(SqliteJournal(path, bytes(32))) as journal:
        assert journal.load("machine") == {b"job": b"state"}


# --- sealing --------------------------------------------------------------------------------------------
@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase that costs nothing to stretch."""
    monkeypatch.setattr("hansa.agents.care.sealing.LOG_N", 1)


@pytest.mark.usefixtures("quick")
@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from([0, 1, 100, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1]), max_size=4),
    st.sampled_from([1_000, CHUNK_BYTES, 3 * CHUNK_BYTES]),
)
def test_what_was_sealed_opens_as_it_was(sizes: list[int], piece: int) -> None:
    pieces = [os.urandom(size) for size in sizes]
    file = io.BytesIO()
    writer = SealedWriter(file, b"correct horse")
    for each in pieces:
        assert writer.write(each) == len(each)
    writer.close()
    file.seek(0)
    reader = SealedReader(file, b"correct horse", "file")
    found = b"".join(iter(lambda: reader.read(piece), b""))
    assert found == b"".join(pieces)
    assert reader.read(1) == b""


@pytest.mark.usefixtures("quick")
def test_chunks_cannot_be_moved_left_out_or_cut_off() -> None:
    file = io.BytesIO()
    writer = SealedWriter(file, b"correct horse")
    writer.write(os.urandom(3 * CHUNK_BYTES))
    writer.close()
    sealed = file.getvalue()
    head, size = len(MAGIC) + 17, CHUNK_BYTES + 16
    one, two, three = (sealed[head + n * size : head + (n + 1) * size] for n in range(3))
    for body in (one + two, two + one + three, one + three, one + two + three + three, b""):
        reader = SealedReader(io.BytesIO(sealed[:head] + body), b"correct horse", "file")
        with pytest.raises(BackupError, match="file: does not open"):
            reader.read(5 * CHUNK_BYTES)


# --- the commands ---------------------------------------------------------------------------------------
def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_commands_say_what_they_did_and_what_to_watch(home: Home, tmp_path: Path) -> None:
    done = run("backup", tmp_path / "north.backup", "--home", home.path)
    assert done.exit_code == 0, done.output
    assert "backup of north, " in done.stdout
    assert " KiB" in done.stdout
    assert f"ledger of {len(said(home))} entries" in done.stdout
    assert "holds the keys of north in clear" in done.stderr
    back = run("restore", tmp_path / "north.backup", "--home", tmp_path / "new", "--without", "west")
    assert back.exit_code == 0, back.output
    assert f"next: hansa doctor --home {tmp_path / 'new'}" in back.stdout
    with closing(Home(tmp_path / "new").journal(home.identity())) as journal:
        assert unpack_row(journal.load("meta")[b"restored"])[1] == ["west"]


def test_sizes_are_told_in_units_that_fit() -> None:
    assert [_size(count) for count in (2_048, 5 * 2**20)] == ["2 KiB", "5.0 MiB"]


def test_a_passphrase_comes_from_a_file_that_only_its_owner_reads(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o644)
    file = tmp_path / "north.backup"
    refusal = run("backup", file, "--home", home.path, "--passphrase-file", secret)
    assert refusal.exit_code == 1
    assert "chmod 600" in refusal.stderr
    secret.chmod(0o600)
    assert run("backup", file, "--home", home.path, "--passphrase-file", secret).stderr == ""
    closed = run("restore", file, "--home", tmp_path / "new")
    assert closed.exit_code == 1
    assert closed.stderr.count("\n") == 1
    assert run("restore", file, "--home", tmp_path / "new", "--passphrase-file", secret).exit_code == 0


def test_what_lies_outside_the_home_is_named_both_ways(tmp_path: Path) -> None:
    broker = {"url": "amqps://north@host/town", "ca_file": "/etc/ssl/town.pem"}
    config = {"agent": {"name": "north"}, "broker": broker}
    home = Home.create(tmp_path / "home", Identity.generate("north"), config)
    assert "/etc/ssl/town.pem" in run("backup", tmp_path / "file", "--home", home.path).stderr
    assert "/etc/ssl/town.pem" in run("restore", tmp_path / "file", "--home", tmp_path / "new").stderr


def test_a_manifest_tells_the_agent_and_where_its_ledger_ended(backup: Path, town: Path) -> None:
    with tarfile.open(backup) as tar:
        told = json.loads(tar.extractfile(MANIFEST).read())  # type: ignore[union-attr]
    with closing(Home(town / "north").stored()) as store:
        head = store.head()
    assert (told["agent"], told["entries"], told["head"]) == ("north", head.size, head.hash.hex())
    assert Manifest(**told | {"files": {}, "left_out": ()}).federation == "local"


def test_a_replica_goes_on_from_a_restored_ledger(backup: Path, tmp_path: Path) -> None:
    restore_backup(backup, tmp_path / "new")
    home = Home(tmp_path / "new")
    federation = home.config().federation
    with closing(home.store()) as store:
        replica = Replica(store, bytes.fromhex(federation.charter), federation.id)
        assert "north" in replica.standing.members
