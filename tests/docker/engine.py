"""What a container engine makes of compose.yaml, made with processes of this machine: no images, no networks.

Hosts become ports of loopback, and a container's paths become folders of the test. Everything else, the commands
and their environment, is what the two files say; whatever this leaves in place is passed to the processes as it is.
"""

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from hansa.agents.errors import AgentError
from hansa.agents.home import PASSWORD, Home
from hansa.agents.service.reach import reach
from hansa.agents.service.status import Status
from tests.docker import container
from tests.docker.compose import DOCKER, ROOT, Compose, Image, Service, read_compose, read_image

PATIENCE_S = 120.0  # for what takes seconds on a machine that has nothing else to do
COMMAND_S = 120.0
POLL_S = 0.25


class Engine:
    """Runs the services that are built from our image.

    Args:
        folder: empty; for volumes and logs.
        secrets: the files' folder.
        data: what `hansa demo data` has written, ./data of compose.
        addresses: by what stands in a value, what stands there instead.
    """

    def __init__(self, folder: Path, secrets: Path, data: Path, addresses: Mapping[str, str]) -> None:
        self.compose: Compose = read_compose()
        self.image: Image = read_image()
        self._folder = folder
        self._secrets = secrets
        self._data = data
        self._addresses = dict(addresses)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for service in self.compose.ours:
            for source in service.mounts.values():
                if source in self.compose.volumes:
                    (folder / source).mkdir(exist_ok=True)

    def path(self, service: Service, inside: str) -> Path:
        """Return where a path of a container is on this machine; KeyError if it is nowhere."""
        places = {path: self._source(source) for path, source in service.mounts.items()}
        for name in service.secrets:
            places[f"/run/secrets/{name}"] = self._secrets / Path(self.compose.secrets[name]).name
        for path, source in self.image.copied.items():
            places[path] = ROOT / source
        for path, place in places.items():
            if inside == path or inside.startswith(f"{path}/"):
                return place / inside.removeprefix(path).lstrip("/")
        raise KeyError(f"{service.name} has no {inside}")

    def environment(self, service: Service) -> dict[str, str]:
        """Return what a service's processes find in their environment."""
        inside = {**self.image.environment, **service.environment}
        inside["PATH"] = inside["PATH"].replace("/opt/hansa/bin", sysconfig.get_path("scripts"))
        inside["PATH"] = inside["PATH"].replace("$PATH", os.environ["PATH"])
        told = {
            name: str(self.path(service, value)) if value.startswith("/") and name != "PATH" else value
            for name, value in inside.items()
        }
        for address, ours in self._addresses.items():
            told = {name: value.replace(address, ours) for name, value in told.items()}
        return {"LANG": "C.UTF-8", "HOME": str(self._folder), **told}

    def home(self, service: Service) -> Path:
        """Return an agent's folder."""
        return Path(self.environment(service)["HANSA_HOME"])

    def log(self, service: Service) -> Path:
        """Return the file with what a service has said."""
        return self._folder / f"{service.name}.log"

    def passwords(self) -> list[str]:
        """Return what must be seen nowhere: the secrets, and the agents' own passwords at the broker."""
        administrator = urlsplit((self._secrets / "management_url").read_text()).password
        ledger = (self._secrets / "postgres_password").read_text().strip()
        own = [(self.home(service) / PASSWORD).read_text().strip() for service in self.compose.ours]
        return [str(administrator), ledger, *own]

    # --- what an engine does --------------------------------------------------------------------------------
    def up(self) -> None:
        """Start the services, and wait until each agent answers and is connected to the broker."""
        (word,) = self.image.entrypoint
        for service in self.compose.ours:
            command = [sys.executable, container.__file__, str(self.path(service, f"/usr/local/bin/{word}"))]
            with self.log(service).open("ab") as log:
                self._running[service.name] = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,  # its end is theirs
                    stdout=log,
                    stderr=log,
                    env=self.environment(service),
                    cwd=self._folder,
                    start_new_session=True,
                )
        homes = [Home(self.home(service)) for service in self.compose.ours]
        self.until(lambda: all(map(_connected, homes)), "all agents are connected")

    def healthy(self, service: Service) -> bool:
        """Whether a service is well, by the command that the image has for this."""
        return self.execute(service, *self.image.healthcheck).returncode == 0

    def execute(self, service: Service, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in a service's container, as `docker compose exec`."""
        return subprocess.run(
            words,
            env=self.environment(service),
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def stop(self) -> dict[str, int]:
        """End all services with SIGTERM; return their exit statuses."""
        for process in self._running.values():
            process.terminate()
        statuses = {name: process.wait(PATIENCE_S) for name, process in self._running.items()}
        self.kill()
        return statuses

    def kill(self) -> None:
        """End at once what is still there."""
        for process in self._running.values():
            assert process.stdin is not None
            process.stdin.close()
        for process in self._running.values():
            process.wait(PATIENCE_S)
        self._running.clear()

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait; fails with everybody's last words if a service has ended, or when it has taken too long."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"not so: {what}; ended: {ended}\n{self._last_words()}")
            time.sleep(POLL_S)

    def _last_words(self) -> str:
        logs = [self.log(service) for service in self.compose.ours]
        return "\n".join(f"{log.stem}: {log.read_text()[-1000:]}" for log in logs if log.exists())

    def _source(self, source: str) -> Path:
        if source in self.compose.volumes:
            return self._folder / source
        _, is_data, party = source.partition("./data/")
        return self._data / party if is_data else (DOCKER / source).resolve()


def _connected(home: Home) -> bool:
    """Ask an agent without a process of its own, which would cost a second each time."""
    try:
        with reach(home, alone=False) as ask:
            return bool(ask(Status())["broker"]["state"] == "ready")
    except AgentError:  # nobody there yet, or just starting
        return False
