"""docker/agent.sh, step by step, with a `hansa` that only notes what it is asked to do."""

import json
import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.compose import DOCKER

HANSA = """#!/bin/sh
echo "$*" >>"$NOTES"
case "$1 $2" in
    "init "*) mkdir -p "$2" && : >"$2/identity.key" && echo '[agent]' >"$2/agent.toml" ;;
    "federation create" | "join "*) echo '[federation]' >>"$HANSA_HOME/agent.toml" ;;
    "federation invite") : >"$6" ;;
    "federation members") cat "$MEMBERS" ;;
    "data add") echo "[data.$5]" >>"$HANSA_HOME/agent.toml" ;;
    "agent run") echo "${HANSA_MANAGEMENT-none}" >>"$NOTES" ;;
esac
"""
AGGREGATOR = {
    "HANSA_ROLE": "aggregator",
    "HANSA_FEDERATION": "town",
    "HANSA_BROKER": "amqp://rabbitmq:5672",
    "HANSA_MEMBERS": "north south west",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the script is played: a home, invitations, secrets, and programs of its own."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def play(self, more: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run the script with these variables besides those that every agent has."""
        usual = {"HANSA_NAME": "north", "HANSA_ROLE": "party", "HANSA_HOME": str(self.home)}
        usual |= {"HANSA_INVITES": str(self.folder / "invites")}
        files = {
            "HANSA_MANAGEMENT_FILE": str(self.folder / "management_url"),
            "NOTES": str(self.folder / "notes"),
            "MEMBERS": str(self.folder / "members"),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }
        environment = {name: value for name, value in (usual | files | dict(more)).items() if value}
        return subprocess.run(
            [DOCKER / "agent.sh"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def asked(self, more: Mapping[str, str]) -> list[str]:
        """Run the script, which has to work; return what it asks hansa to do."""
        (self.folder / "notes").write_text("")
        done = self.play(more)
        assert done.returncode == 0, done.stderr
        return [line.replace(f"{self.folder}/", "") for line in self.notes()]

    def notes(self) -> list[str]:
        return (self.folder / "notes").read_text().splitlines()

    def program(self, name: str, text: str) -> None:
        """Put a program before all others of its name."""
        file = self.folder / "bin" / name
        file.write_text(text)
        file.chmod(0o755)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    for name in ("bin", "invites"):
        (tmp_path / name).mkdir()
    (tmp_path / "management_url").write_text("http://somebody:secret@rabbitmq:15672\n")
    (tmp_path / "members").write_text("")
    (tmp_path / "notes").write_text("")
    stage = Stage(tmp_path)
    stage.program("hansa", HANSA)
    return stage


def invite(member: str) -> str:
    return f"federation invite {member} --admit --out invites/{member}.invite"


def test_an_aggregator_founds_and_invites_once_and_runs_without_the_brokers_administrator(
    stage: Stage,
) -> None:
    aggregator = {**AGGREGATOR, "HANSA_NAME": "aggregator", "HANSA_ORGANISATION": "The Guild"}
    assert stage.asked(aggregator) == [
        "init home --name aggregator --role aggregator --organisation The Guild",
        "federation create town --broker amqp://rabbitmq:5672",
        *map(invite, ("north", "south", "west")),
        "agent run",
        "none",
    ]
    assert stage.asked(aggregator) == ["federation members --json", "agent run", "none"]


def test_whoever_is_or_was_a_member_is_invited_by_no_script(stage: Stage) -> None:
    stage.asked(AGGREGATOR)
    for file in (stage.folder / "invites").iterdir():
        file.unlink()
    rows = [("north", "suspended"), ("south", "expired"), ("southwest", "active"), ("west", "active")]
    lines = [json.dumps({"name": name, "organisation": "", "status": how}) for name, how in rows]
    (stage.folder / "members").write_text("\n".join(lines))
    assert [line for line in stage.asked(AGGREGATOR) if "invite" in line] == [invite("south")]


def test_a_party_notes_its_data_and_joins_once(stage: Stage) -> None:
    (stage.folder / "invites" / "north.invite").touch()
    party = {"HANSA_DATA": "/data/digits.csv", "HANSA_DATASET": "digits", "HANSA_TARGET": "digit"}
    assert stage.asked(party) == [
        "init home --name north --role party --organisation ",
        "data add /data/digits.csv --name digits --id id --target digit",
        "join invites/north.invite --wait 300",
        "agent run",
        "none",
    ]
    assert stage.asked(party) == ["agent run", "none"]


def test_who_has_no_data_adds_none(stage: Stage) -> None:
    (stage.folder / "invites" / "north.invite").touch()
    assert not [line for line in stage.asked({"HANSA_ROLE": "arbiter"}) if "data" in line]


def test_who_gets_no_invitation_says_so_after_a_while(stage: Stage) -> None:
    stage.program("sleep", "#!/bin/sh\n")
    done = stage.play({})
    assert done.returncode == 1
    assert "no " in done.stderr
    assert "north.invite after 300 s: is the aggregator up?" in done.stderr
    assert "agent run" not in stage.notes()


def test_a_ledger_elsewhere_is_written_down_once_and_its_password_anew_each_time(stage: Stage) -> None:
    secret = stage.folder / "secret"
    ledger = {
        **AGGREGATOR,
        "HANSA_LEDGER": "postgresql+psycopg://hansa@postgres/ledger",
        "HANSA_LEDGER_PASSWORD_FILE": str(secret),
    }
    for password in ("first", "second"):
        secret.write_text(password)
        stage.asked(ledger)
        copy = stage.home / "ledger.password"
        assert copy.read_text() == password
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    config = (stage.home / "agent.toml").read_text()
    assert (
        config.count(f'[ledger]\nurl = "{ledger["HANSA_LEDGER"]}"\npassword_file = "ledger.password"\n') == 1
    )


def test_a_ledger_elsewhere_may_need_no_password(stage: Stage) -> None:
    stage.asked({**AGGREGATOR, "HANSA_LEDGER": "sqlite:////elsewhere/ledger.sqlite"})
    assert "password_file" not in (stage.home / "agent.toml").read_text()


@pytest.mark.parametrize("name", ["HANSA_NAME", "HANSA_ROLE", "HANSA_HOME", "HANSA_INVITES"])
def test_a_variable_that_every_agent_needs_is_named_if_it_is_missing(stage: Stage, name: str) -> None:
    done = stage.play({name: ""})
    assert done.returncode != 0
    assert name in done.stderr
    assert not stage.notes()


@pytest.mark.parametrize("name", ["HANSA_FEDERATION", "HANSA_BROKER", "HANSA_MANAGEMENT_FILE"])
def test_a_variable_that_an_aggregator_needs_is_named_if_it_is_missing(stage: Stage, name: str) -> None:
    done = stage.play({**AGGREGATOR, name: ""})
    assert done.returncode != 0
    assert name in done.stderr
    assert "agent run" not in stage.notes()


def test_a_step_that_fails_ends_the_script(stage: Stage) -> None:
    (stage.folder / "invites" / "north.invite").touch()
    stage.program("hansa", HANSA.replace("case ", '[ "$1" != data ] || exit 4\ncase ', 1))
    assert stage.play({"HANSA_DATA": "/data/x.csv", "HANSA_DATASET": "x"}).returncode == 4
    assert "agent run" not in stage.notes()
