"""How does an agent survive its disk? One file with all that a home holds, and the way back.

In it: keys, agent.toml and the files it names in the home (password, certificates), the journal as of one commit,
sealed chunks and salts, and the ledger's copy with what lies beside its entries, wherever that is. Rows of data
sets are not: they have a backup of their own. The journal is copied first and the ledger last, so that the
archive's ledger is never behind the head that the journal has seen. An agent at work goes on meanwhile.

A restored home is that of an older self; what follows from this, `hansa.agents.core.restored` says.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import hansa
from hansa.agents.care.archive import ENTRIES, ArchiveWriter, Manifest, Readable, fits, unpack
from hansa.agents.care.beside import BESIDE, LENGTH_BYTES, copy_beside, restore_beside
from hansa.agents.care.sealing import MAGIC, SealedReader, SealedWriter
from hansa.agents.config import AgentConfig
from hansa.agents.core.journal import copy_journal, mark_restored, pack_row, unpack_row
from hansa.agents.errors import BackupError, HomeError
from hansa.agents.home import CHUNKS, CONFIG, IDENTITY, JOURNAL, SALTS, Home, sync_folder
from hansa.broker import BrokerError, Identity
from hansa.broker import WrongPassphrase as KeysClosed
from hansa.ledger import ChainedEntry, Head, LedgerError, LedgerStore, Replica, StoreMissing


@dataclass(frozen=True, slots=True)
class Made:
    """What was backed up.

    Attributes:
        in_clear: whoever reads the file has the agent's keys.
    """

    path: Path
    bytes: int
    manifest: Manifest
    in_clear: bool


def make_backup(home: Home, file: Path, passphrase: bytes | None = None) -> Made:
    """Write a home into one file, mode 0600; it appears whole or not at all.

    Args:
        passphrase: seals the whole file; None leaves keys as they are in the home.

    Raises:
        BackupError: the file is there already, or can't be written.
        AgentError, LedgerError: something in the home can't be read.
    """
    if file.exists():
        raise BackupError(f"{file}: exists; a backup is never written over anything")
    config = home.config()
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with _unstarted(home), tempfile.TemporaryDirectory(prefix=".hansa-", dir=file.parent) as scratch:
            manifest = _write(home, config, draft, Path(scratch), passphrase)
        size = draft.stat().st_size
        os.link(draft, file)  # unlike a rename, fails if the name is taken
        sync_folder(file.parent)
    except OSError as error:
        raise BackupError(f"{file}: cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)
    return Made(file, size, manifest, passphrase is None and not _keys_closed(home))


def restore_backup(
    file: Path,
    folder: Path,
    passphrase: bytes | None = None,
    *,
    without: Iterable[str] = (),
    now_s: float | None = None,
) -> Manifest:
    """Make a home of a backup; the folder appears whole or not at all.

    Args:
        folder: not there yet, or empty.
        without: members that this agent, if it keeps the ledger, shall not wait for.
        now_s: UTC seconds since 1970.

    Raises:
        BackupError: the folder is in use; the file is no backup, cut, altered, sealed under another passphrase or
            of a newer format; or its ledger does not fit the one at agent.toml's address.
        LedgerError: that ledger can't be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupError(f"{folder}: not empty; a backup is restored into a new folder")
    at_ms = int((time.time() if now_s is None else now_s) * 1000)
    staging = folder.absolute().with_name(f".{folder.absolute().name}.{secrets.token_hex(4)}")
    try:
        staging.mkdir(mode=0o700)
        with file.open("rb") as opened:
            manifest = unpack(_reader(opened, passphrase, file.name), staging, file.name)
        home = Home(staging)
        _check(home, manifest, file.name)
        mark_restored(staging / JOURNAL, at_ms, without)
        _restore_ledger(home, manifest, file.name)
        sync_folder(staging)
        staging.rename(folder)
        sync_folder(folder.absolute().parent)
    except OSError as error:
        raise BackupError(f"{error.filename or folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


# --- making ---------------------------------------------------------------------------------------------
@contextmanager
def _unstarted(home: Home) -> Iterator[None]:
    """Keep the agent from starting half-way; one that is at work already may go on, the copies allow for it."""
    descriptor = None
    with suppress(HomeError):
        descriptor = home.lock()
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _write(home: Home, config: AgentConfig, draft: Path, scratch: Path, passphrase: bytes | None) -> Manifest:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        sealed = None if passphrase is None else SealedWriter(file, passphrase)
        with closing(ArchiveWriter(sealed or file)) as archive:
            manifest = _fill(home, config, archive, scratch)
        if sealed is not None:
            sealed.close()
        file.flush()
        os.fsync(descriptor)
    return manifest


def _fill(home: Home, config: AgentConfig, archive: ArchiveWriter, scratch: Path) -> Manifest:
    archive.add(IDENTITY, home.path / IDENTITY)
    archive.add(CONFIG, home.path / CONFIG)
    left_out = []
    for name in _named_files(config):
        if fits(name) and (home.path / name).is_file():
            archive.add(name, home.path / name)
        else:
            left_out.append(name)
    if (home.path / JOURNAL).exists():
        copy_journal(home.path / JOURNAL, scratch / JOURNAL)
        archive.add(JOURNAL, scratch / JOURNAL)
    for folder in (CHUNKS, SALTS):
        for path in sorted((home.path / folder).glob("[!.]*")):
            with suppress(FileNotFoundError):  # of a job that has ended meanwhile, or replaced
                archive.add(f"{folder}/{path.name}", path)
    head = None if config.membership is None else _copy_ledger(home, scratch)
    if head is not None:
        archive.add(ENTRIES, scratch / ENTRIES)
        archive.add(BESIDE, scratch / BESIDE)
    manifest = Manifest(
        hansa=hansa.__version__,
        made_ms=int(time.time() * 1000),
        agent=config.agent.name,
        federation="" if config.membership is None else config.membership.id,
        entries=0 if head is None else head.size,
        head="" if head is None else head.hash.hex(),
        files=dict(archive.files),
        left_out=tuple(left_out),
    )
    archive.finish(manifest)
    return manifest


def _named_files(config: AgentConfig) -> Iterator[str]:
    """Yield the small files that agent.toml names: passwords and certificates."""
    broker = config.broker
    if broker is not None:
        yield from filter(None, (broker.password_file, broker.ca_file, broker.cert_file, broker.key_file))
    yield from filter(None, (config.ledger.password_file,))
    yield from filter(None, (section.password_file for section in config.data.values()))


def _copy_ledger(home: Home, scratch: Path) -> Head | None:
    """Write the entries of a home's copy, one after the other, and what lies beside them; return where they end."""
    try:
        store = home.stored()
    except StoreMissing:
        return None
    head = None
    with closing(store), (scratch / ENTRIES).open("wb") as file:
        for entry in store.read():
            fields = (entry.index, entry.previous, entry.signed, entry.signature, entry.hash, entry.receipt)
            row = pack_row(*fields)
            file.write(len(row).to_bytes(LENGTH_BYTES) + row)
            head = entry.head
        copy_beside(store, scratch / BESIDE)
    return head


def _keys_closed(home: Home) -> bool:
    """Whether the keys are under a passphrase of their own."""
    try:
        Identity.load(home.path / IDENTITY)
    except KeysClosed:
        return True
    except BrokerError:
        pass
    return False


# --- the way back ---------------------------------------------------------------------------------------
def _reader(file: BinaryIO, passphrase: bytes | None, name: str) -> Readable:
    sealed = file.read(len(MAGIC)) == MAGIC
    file.seek(0)
    if not sealed:
        return file
    if passphrase is None:
        raise BackupError(f"{name}: sealed under a passphrase: name its file with --passphrase-file")
    return SealedReader(file, passphrase, name)


def _check(home: Home, manifest: Manifest, name: str) -> None:
    missing = [file for file in (IDENTITY, CONFIG) if not (home.path / file).exists()]
    if missing:
        raise BackupError(f"{name}: {' and '.join(missing)} missing in it: no backup of a home")
    config = home.config()
    if config.agent.name != manifest.agent:
        raise BackupError(f"{name}: altered: of {manifest.agent}, with the agent.toml of {config.agent.name}")


def _restore_ledger(home: Home, manifest: Manifest, name: str) -> None:
    """Fill the ledger at agent.toml's address, or find the same one there, whole."""
    source, beside = home.path / ENTRIES, home.path / BESIDE
    if not source.exists():
        return
    federation = home.config().federation
    with closing(home.store(create=True)) as store:
        before = store.head().size
        if before > manifest.entries:
            _compare(store, manifest, name)
        else:
            try:
                replica = Replica(store, bytes.fromhex(federation.charter), federation.id)
                replica.accept(list(_entries(source, name)))  # in one transaction: all or none
            except LedgerError as error:
                raise BackupError(f"{name}: its ledger does not fit {store.address}: {error}") from None
            if (replica.head.size, replica.head.hash.hex()) != (manifest.entries, manifest.head):
                raise BackupError(f"{name}: altered: its ledger ends elsewhere than its manifest says")
        if beside.exists():  # backups of earlier versions have none
            restore_beside(store, beside, name)
            beside.unlink()
    source.unlink()


def _compare(store: LedgerStore, manifest: Manifest, name: str) -> None:
    """A ledger that outlived the home, in PostgreSQL say, may be newer than the backup, but of the same chain."""
    last = next(store.read(manifest.entries - 1, manifest.entries))
    if last.hash.hex() != manifest.head:
        raise BackupError(f"{name}: {store.address} holds another ledger: entry {last.index} differs")


def _entries(source: Path, name: str) -> Iterator[ChainedEntry]:
    with source.open("rb") as file:
        while length := file.read(LENGTH_BYTES):
            match unpack_row(file.read(int.from_bytes(length))):
                case [
                    int(index),
                    bytes(previous),
                    bytes(signed),
                    bytes(signature),
                    bytes(digest),
                    bytes(receipt),
                ]:
                    yield ChainedEntry(index, previous, signed, signature, digest, receipt)
                case _:
                    raise BackupError(f"{name}: altered: an entry of its ledger is malformed")
