"""docker/Dockerfile and the script that it starts: what can be known of them without building."""

import os
import re
import subprocess
import tomllib

import pytest

from tests.docker.compose import DOCKER, ROOT, read_image

IMAGE = read_image()


def test_the_image_is_built_from_named_versions() -> None:
    assert all(re.fullmatch("[a-z]+:[0-9][^ ]*", base) for base in IMAGE.bases)


@pytest.mark.parametrize("source", IMAGE.copied.values())
def test_what_the_image_is_built_from_is_there_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    allowed = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert f"!{source}" in allowed
    assert allowed.index("*") < allowed.index(f"!{source}")


def test_the_package_finds_all_its_rooms_in_the_build() -> None:
    rooms = {link.name for link in (ROOT / "src" / "hansa").iterdir() if link.is_symlink()}
    assert {*rooms, "src", "pyproject.toml"} <= set(IMAGE.copied.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], *project["license-files"]} <= set(IMAGE.copied.values())


def test_the_extras_that_are_installed_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"'\.\[([a-z,]+)\]'", " ".join(IMAGE.ran))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert "--constraint constraints.txt" in " ".join(IMAGE.ran)


def test_an_agent_is_not_root_and_owns_its_folders() -> None:
    assert IMAGE.user.isdigit()
    assert int(IMAGE.user) > 0
    assert any(f"useradd --uid {IMAGE.user} " in line for line in IMAGE.ran)
    assert any("--owner=hansa" in line and "/var/lib/hansa /invites" in line for line in IMAGE.ran)
    assert IMAGE.environment["HANSA_HOME"].startswith("/var/lib/hansa/")


def test_what_the_image_starts_can_be_started() -> None:
    (word,) = IMAGE.entrypoint
    script = ROOT / IMAGE.copied[f"/usr/local/bin/{word}"]
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")
