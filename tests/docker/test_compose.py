"""docker/compose.yaml: does it fit together, and is it what a careful operator would write?"""

import json
import re

import pytest
import yaml

from tests.docker.compose import DOCKER, Service, read_compose, read_image

COMPOSE = read_compose()
SCRIPT = (DOCKER / "agent.sh").read_text(encoding="utf-8")
KEYS = {  # of a service; anything else is a slip of the pen until it is added here
    *(
        "build",
        "cap_drop",
        "configs",
        "depends_on",
        "environment",
        "healthcheck",
        "hostname",
        "image",
        "init",
    ),
    *("networks", "read_only", "restart", "secrets", "security_opt", "stop_grace_period", "tmpfs", "volumes"),
}

every_service = pytest.mark.parametrize(
    "service", list(COMPOSE.services.values()), ids=lambda service: service.name
)
every_agent = pytest.mark.parametrize("service", list(COMPOSE.ours), ids=lambda service: service.name)


def test_the_federation_is_whole() -> None:
    roles = [service.environment["HANSA_ROLE"] for service in COMPOSE.ours]
    assert sorted(roles) == ["aggregator", "arbiter", "party", "party", "party"]
    assert set(COMPOSE.services) == {"rabbitmq", "postgres", *(service.name for service in COMPOSE.ours)}
    invited = COMPOSE.services["aggregator"].environment["HANSA_MEMBERS"].split()
    assert sorted(invited) == sorted(each.name for each in COMPOSE.ours if each.name != "aggregator")


@every_service
def test_a_service_comes_back_after_a_restart_and_is_reached_from_no_other_machine(service: Service) -> None:
    told = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"][service.name]
    assert told["restart"] == "unless-stopped"
    assert service.keys <= KEYS  # so that no ports are published, and no network is the host's


@every_service
def test_an_image_is_of_a_named_version(service: Service) -> None:
    _, _, tag = service.image.partition(":")
    assert tag
    assert tag != "latest"


@every_service
def test_who_waits_for_a_service_can_learn_how_it_is(service: Service) -> None:
    for name, condition in service.depends_on.items():
        other = COMPOSE.services[name]
        assert condition in ("service_started", "service_healthy")
        assert condition == "service_started" or other.healthcheck or other.built


@every_service
def test_what_a_service_names_is_there(service: Service) -> None:
    assert set(service.networks) <= COMPOSE.networks
    assert set(service.secrets) <= set(COMPOSE.secrets)
    assert set(service.configs) <= set(COMPOSE.configs)
    for source in service.mounts.values():
        folder = (DOCKER / source).resolve()
        assert source in COMPOSE.volumes or folder.is_dir() or folder.parent == DOCKER / "data", source
    for file in re.findall("/run/secrets/([a-z_]+)", str(service.environment)):
        assert file in service.secrets


def test_nothing_is_named_that_nobody_uses() -> None:
    services = COMPOSE.services.values()
    used = {source for service in services for source in service.mounts.values()}
    assert used >= COMPOSE.volumes
    assert {name for service in services for name in service.secrets} == set(COMPOSE.secrets)
    assert {name for service in services for name in service.configs} == set(COMPOSE.configs)


def test_secrets_are_files_and_each_has_an_example() -> None:
    for file in COMPOSE.secrets.values():
        assert file.startswith("./secrets/")
        assert (DOCKER / "example-secrets" / file.removeprefix("./secrets/")).is_file()


def test_no_password_stands_in_the_file() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    for file in (DOCKER / "example-secrets").iterdir():
        assert file.read_text(encoding="utf-8").strip() not in text
    assert "change-me" not in text
    assert not re.search("://[^/ ]*:[^/ ]*@", text)  # user:password@
    for service in COMPOSE.services.values():
        for name, value in service.environment.items():
            assert "PASSWORD" not in name or (name.endswith("_FILE") and value.startswith("/run/secrets/"))


def test_the_example_secrets_fit_together() -> None:
    folder = DOCKER / "example-secrets"
    told = json.loads((folder / "rabbitmq_definitions.json").read_text(encoding="utf-8"))
    (user,) = told["users"]
    url = (folder / "management_url").read_text(encoding="utf-8").strip()
    assert url == f"http://{user['name']}:{user['password']}@rabbitmq:15672"
    assert "administrator" in user["tags"]


@every_agent
def test_an_agent_is_told_what_its_script_reads_and_nothing_else(service: Service) -> None:
    read = set(re.findall(r"\$\{?(HANSA_[A-Z_]+)", SCRIPT)) - {"HANSA_MANAGEMENT"}  # it sets that itself
    told = set(service.environment) | {name for name in read_image().environment if name.startswith("HANSA_")}
    assert told <= read
    aggregator = {"HANSA_FEDERATION", "HANSA_BROKER", "HANSA_MANAGEMENT_FILE"}
    needed = set(re.findall(r"\$\{(HANSA_[A-Z_]+):\?\}", SCRIPT)) - {"HANSA_DATASET"}
    if service.environment["HANSA_ROLE"] != "aggregator":
        needed -= aggregator
    assert needed <= told
    assert ("HANSA_DATA" in told) == ("HANSA_DATASET" in told)
    assert service.environment["HANSA_NAME"] == service.name


def test_the_script_explains_every_variable_that_it_reads() -> None:
    header, _, body = SCRIPT.partition("set -eu")
    for name in set(re.findall(r"\$\{?(HANSA_[A-Z_]+)", body)) - {"HANSA_MANAGEMENT"}:
        assert re.search(rf"\b{name}\b", header), name


@every_agent
def test_an_agent_may_do_little(service: Service) -> None:
    told = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"][service.name]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]


@every_agent
def test_what_an_agent_keeps_lies_in_a_volume_of_its_own(service: Service) -> None:
    home = read_image().environment["HANSA_HOME"]
    (volume,) = [source for path, source in service.mounts.items() if home.startswith(f"{path}/")]
    assert volume == service.name
