"""A private PostgreSQL server for the tests: a free port on loopback, everything in one temporary folder.

The Debian package's programs are used, its cluster is not. `initdb` and `postgres` refuse to run as root, so
that for root they run as the user `postgres` or `nobody`. One server is shared by all of pytest's workers, as
RabbitMQ is; tests that hurt theirs start another. `HANSA_TEST_DATABASE_URL` names a server to be shared instead
(its user must be allowed to create databases). A guard ends each server when the run ends, however it ends.
"""

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy.engine import URL, make_url

from tests import servers

ROOT = Path(__file__).parents[1]
START_S = 60.0  # on a machine that is busy with other tests; alone it takes two
URL_VARIABLE = "HANSA_TEST_DATABASE_URL"
USER = "hansa"
PASSWORD = "s3cr3t@/:%"  # as awkward in a URL as they come
MISSING = "the tests need PostgreSQL: apt-get install postgresql (or `make servers` as root)"
# The operating system keeps what a killed server wrote; only a power failure would need the disk.
FAST = {"fsync": "off"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        url: of its database `postgres`, password included.
        folder: of a private one; "" for one that somebody else runs.
    """

    url: str
    folder: str = ""

    def address(self, database: str, **query: str) -> str:
        """Return the URL of one of its databases."""
        return make_url(self.url).set(database=database, query=query).render_as_string(hide_password=False)

    @contextmanager
    def connected(self, database: str = "") -> Iterator[psycopg.Connection[TupleRow]]:
        """Connect with the bare driver; every statement is committed at once."""
        url = make_url(self.url)
        with psycopg.connect(
            host=url.host,
            port=url.port,
            user=url.username,
            password=str(url.password),
            dbname=database or url.database,
            connect_timeout=10,
            autocommit=True,
        ) as connection:
            yield connection

    def create(self, template: str = "template0", encoding: str = "UTF8") -> str:
        """Create a database, perhaps as a copy of another one that nobody has open; return its name."""
        name = f"hansa_{uuid.uuid4().hex}"
        with self.connected() as connection:
            connection.execute(
                f'CREATE DATABASE "{name}" TEMPLATE "{template}" ENCODING \'{encoding}\''.encode()
            )
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever has it open."""
        with self.connected() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def stop(self) -> None:
        """End it at once, as a crash would; returns when it is gone."""
        record = Path(self.folder) / "data" / "postmaster.pid"
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(record.read_text().split()[0]), signal.SIGQUIT)
        deadline = time.monotonic() + 10
        while record.exists() and time.monotonic() < deadline:
            time.sleep(0.02)


def programs() -> Path:
    """Return the folder with `initdb` and `postgres`.

    Raises:
        RuntimeError: they are not installed.
    """
    root = Path("/usr/lib/postgresql")
    versions = sorted(root.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    folders = [path.parent for path in reversed(versions)]
    folders += [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(MISSING)


def start(folder: Path, settings: Mapping[str, str] = FAST, *, earlier: Server | None = None) -> Server:
    """Start a server in a folder that others may enter, or start `earlier` again; returns when it answers.

    Args:
        settings: what differs from PostgreSQL's defaults.
    """
    bin_folder, user = programs(), unprivileged()
    if earlier is None:
        _make_cluster(folder, bin_folder, user)
    url = URL.create("postgresql+psycopg", USER, PASSWORD, "127.0.0.1", servers.free_ports(1)[0], "postgres")
    if earlier is not None:
        url = make_url(earlier.url)
    words = [str(bin_folder / "postgres"), "-D", str(folder / "data"), "-p", str(url.port)]
    fixed = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "dynamic_shared_memory_type": "mmap",
    }
    for name, value in (fixed | dict(settings)).items():
        words += ["-c", f"{name}={value}"]
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.postgres",
                os.environ[servers.CONTROLLER_VARIABLE],
                user or "",
                *words,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=ROOT,
        )
    server = Server(url.render_as_string(hide_password=False), str(folder))
    deadline = time.monotonic() + START_S
    while not _answers(server):
        if time.monotonic() > deadline or process.poll() is not None:
            server.stop()
            raise RuntimeError(f"PostgreSQL did not start:\n{(folder / 'output').read_text()[-3000:]}")
        time.sleep(0.05)
    process.returncode = 0  # it outlives this worker if others use it; the guard sees to its end
    return server


@contextmanager
def private(settings: Mapping[str, str] = FAST) -> Iterator[Server]:
    """Run a server for one purpose; it may be stopped and started meanwhile."""
    folder = run_folder("postgresql-")
    server = start(folder, settings)
    try:
        yield server
    finally:
        server.stop()


def run_folder(prefix: str) -> Path:
    """Return a new folder of this run that the server's user can enter."""
    run = Path(os.environ[servers.FOLDER_VARIABLE])
    run.chmod(0o711)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=run))
    folder.chmod(0o711)
    return folder


def shared() -> Server:
    """Return the server that all workers of this run share; the first to ask starts it."""
    if URL_VARIABLE in os.environ:
        return Server(os.environ[URL_VARIABLE])
    run = Path(os.environ[servers.FOLDER_VARIABLE])
    record = run / "postgresql.json"
    with servers.locked(run / "postgresql.lock"):
        if not record.exists():
            record.write_text(json.dumps(asdict(start(run_folder("postgresql-")))))
        return Server(**json.loads(record.read_text()))


def stop_shared(run: Path) -> None:
    """End the shared server, if there is one; its folder goes with the run's."""
    record = run / "postgresql.json"
    if record.exists():
        Server(**json.loads(record.read_text())).stop()


def unprivileged() -> str | None:
    """Return whom to run the server as: somebody else, for root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _make_cluster(folder: Path, bin_folder: Path, user: str | None) -> None:
    data, password = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    password.write_text(PASSWORD)
    if user is not None:
        os.chown(data, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        os.chown(password, pwd.getpwnam(user).pw_uid, -1)
    password.chmod(0o400)
    done = subprocess.run(
        [
            bin_folder / "initdb",
            *("-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **_identity(user),
    )
    password.unlink()
    assert done.returncode == 0, f"initdb: {done.stdout}{done.stderr}"


def _identity(user: str | None) -> dict[str, Any]:
    """Return what `subprocess` needs to run a program as this user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _answers(server: Server) -> bool:
    try:
        with server.connected():
            return True
    except psycopg.OperationalError:
        return False


def guard(watched: int, user: str, command: list[str]) -> None:
    """Run a server; when `watched` is gone, end it in an orderly way, so that no shared memory is left."""
    process = subprocess.Popen(command, cwd="/", **_identity(user or None))
    while process.poll() is None:
        try:
            os.kill(watched, 0)
        except ProcessLookupError:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)
        time.sleep(0.1)


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
