"""What do docker/compose.yaml and docker/Dockerfile say? Read without an engine, for tests that hold them to it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


@dataclass(frozen=True, slots=True)
class Service:
    """One service, its anchors and merge keys resolved.

    Attributes:
        keys: that it has.
        built: from our Dockerfile.
        mounts: by path in the container, a volume's name or a path relative to docker/; not which can be written.
        secrets: their names; they stand in /run/secrets.
        depends_on: by service, the condition.
        healthcheck: the command, its first word CMD or CMD-SHELL; none for ours, whose image has one.
    """

    name: str
    keys: frozenset[str]
    image: str
    built: bool
    environment: Mapping[str, str]
    mounts: Mapping[str, str]
    secrets: tuple[str, ...]
    configs: tuple[str, ...]
    networks: tuple[str, ...]
    depends_on: Mapping[str, str]
    healthcheck: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compose:
    """The whole file.

    Attributes:
        secrets: by name, the file relative to docker/.
        configs: by name, the content.
    """

    services: Mapping[str, Service]
    volumes: frozenset[str]
    networks: frozenset[str]
    secrets: Mapping[str, str]
    configs: Mapping[str, str]

    @property
    def ours(self) -> tuple[Service, ...]:
        """The services that are agents."""
        return tuple(each for each in self.services.values() if each.built)


@dataclass(frozen=True, slots=True)
class Image:
    """What the Dockerfile builds.

    Attributes:
        bases: images it is made from, other stages left out.
        ran: its RUN lines.
        copied: from the build context, by path in the image or in the stage's working folder.
        environment, user, entrypoint, healthcheck: of the last stage.
    """

    bases: tuple[str, ...]
    ran: tuple[str, ...]
    copied: Mapping[str, str]
    environment: Mapping[str, str]
    user: str
    entrypoint: tuple[str, ...]
    healthcheck: tuple[str, ...]


def read_compose() -> Compose:
    """Return docker/compose.yaml."""
    text = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return Compose(
        services={name: _service(name, told) for name, told in text["services"].items()},
        volumes=frozenset(text["volumes"]),
        networks=frozenset(text["networks"]),
        secrets={name: told["file"] for name, told in text["secrets"].items()},
        configs={name: told["content"] for name, told in text["configs"].items()},
    )


def read_image() -> Image:
    """Return docker/Dockerfile."""
    lines = list(_instructions((DOCKER / "Dockerfile").read_text(encoding="utf-8")))
    last = max(place for place, (word, _) in enumerate(lines) if word == "FROM")
    final = dict(lines[last:])  # of each instruction the last
    return Image(
        bases=tuple(rest.split()[0] for word, rest in lines if word == "FROM"),
        ran=tuple(rest for word, rest in lines if word == "RUN"),
        copied=dict(_copied(lines)),
        environment=dict(pair.split("=", 1) for pair in shlex.split(final["ENV"])),
        user=final["USER"],
        entrypoint=tuple(json.loads(final["ENTRYPOINT"])),
        healthcheck=tuple(json.loads(final["HEALTHCHECK"].partition("CMD ")[2])),
    )


def _service(name: str, told: dict[str, Any]) -> Service:
    return Service(
        name=name,
        keys=frozenset(told),
        image=told["image"],
        built="build" in told,
        environment=told.get("environment", {}),
        mounts={mount.split(":")[1]: mount.split(":")[0] for mount in told.get("volumes", ())},
        secrets=tuple(told.get("secrets", ())),
        configs=tuple(each["source"] for each in told.get("configs", ())),
        networks=tuple(told["networks"]),
        depends_on={each: how["condition"] for each, how in told.get("depends_on", {}).items()},
        healthcheck=tuple(told.get("healthcheck", {}).get("test", ())),
    )


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction's word and the rest of it, continued lines as one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def _copied(lines: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for word, rest in lines:
        if word == "COPY" and not rest.startswith("--from="):
            *sources, target = rest.split()
            for source in sources:
                yield (f"{target}{source}" if target.endswith("/") else target), source
