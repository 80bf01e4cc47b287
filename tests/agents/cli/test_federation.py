"""`hansa federation`, `hansa join` and `hansa broker`, typed as a person types them, on a real broker."""

import contextlib
import json
import secrets
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result

from hansa.agents.admission import membership
from hansa.agents.admission.invite import read_invite
from hansa.agents.admission.joining import join as ask_to_join
from hansa.agents.admission.membership import ShuttableDoors
from hansa.agents.cli import main
from hansa.agents.cli.management import open_management
from hansa.agents.core.journal import RESTORED
from hansa.agents.errors import FederationError, HomeError
from hansa.agents.home import LEDGER, PASSWORD, Home
from hansa.agents.service.reach import reach
from hansa.broker import Management
from hansa.broker.layout import user
from tests import servers
from tests.agents.daemons import at_work, ready, until
from tests.agents.federations import found


@dataclass(slots=True)
class Desk:
    """Where commands are typed: a folder, and a federation's name on the node that the tests share."""

    folder: Path
    federation: str

    def type(self, line: str, *, management: bool = True, answer: str = "") -> Result:
        """Type a command; FOLDER, TOWN and BROKER in it are replaced."""
        node = servers.shared()
        words = [
            word.replace("FOLDER", str(self.folder))
            .replace("TOWN", self.federation)
            .replace("BROKER", f"amqp://127.0.0.1:{node.port}")
            for word in line.split(" ")
        ]
        environment = {"HANSA_MANAGEMENT": node.management_url if management else ""}
        return CliRunner().invoke(main, words, env=environment, input=answer)

    def done(self, line: str, *, management: bool = True, answer: str = "") -> str:
        """Type a command that works; return what it prints."""
        result = self.type(line, management=management, answer=answer)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, line: str, *, management: bool = True, answer: str = "") -> str:
        """Type a command that does not; return its one line."""
        result = self.type(line, management=management, answer=answer)
        assert result.exit_code == 1, result.output
        (line,) = [each for each in result.output.splitlines() if each.startswith("Error: ")]
        return line.removeprefix("Error: ")

    def home(self, name: str) -> Home:
        return Home(self.folder / name)

    def users(self) -> set[str]:
        """Return the federation's users at the broker, by the names of their agents."""
        management = Management.from_url(servers.shared().management_url)
        every = {each["name"] for each in json.loads(management.call("GET", "users"))}
        return {name.partition(".")[2] for name in every if name.startswith(f"{self.federation}.")}

    def close(self) -> None:
        management = Management.from_url(servers.shared().management_url)
        for path in (
            f"vhosts/{self.federation}",
            *(f"users/{user(self.federation, each)}" for each in self.users()),
        ):
            with contextlib.suppress(Exception):
                management.call("DELETE", path)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, f"desk-{secrets.token_hex(4)}")
    yield desk
    desk.close()


@pytest.fixture
def founded(desk: Desk) -> Desk:
    desk.done("init FOLDER/guild --name aggregator --role aggregator --organisation Guild")
    desk.done("federation create TOWN --home FOLDER/guild --broker BROKER")
    return desk


def join(desk: Desk, folder: str = "bank", name: str = "north") -> None:
    """Let somebody in by an invitation that needs no person."""
    desk.done(f"federation invite {name} --home FOLDER/guild --out FOLDER/{folder}.invite --admit")
    desk.done(f"init FOLDER/{folder} --name {name}")
    with at_work(desk.home("guild")) as keeper:
        until(lambda: ready(keeper), "the keeper")
        desk.done(f"join FOLDER/{folder}.invite --home FOLDER/{folder}")
        with reach(desk.home("guild")) as ask:
            until(lambda: ask(ShuttableDoors())["doors"], "the joiner has its answer")


def roster(desk: Desk) -> dict[str, dict[str, int]]:
    """Return what the keeper's home has of each member."""
    lines = desk.done("federation members --home FOLDER/guild --json").splitlines()
    return {each["name"]: each for each in map(json.loads, lines)}


def suspended_leaves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have north hear of its suspension, and try to leave; return what it is told."""
    with at_work(desk.home("guild")), at_work(desk.home("bank")):
        until(lambda: "suspended" in desk.done("federation members --home FOLDER/bank"), "the chain")
        with monkeypatch.context() as patience:
            patience.setattr(membership, "ASKED_S", 0.1)
            return desk.refused("federation leave --home FOLDER/bank --yes")


def test_the_whole_walk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "ARRIVED_S", 0.1)
    desk.done("init FOLDER/guild --name aggregator --role aggregator --organisation Guild")
    founded = desk.done("federation create TOWN --home FOLDER/guild --broker BROKER")
    guild = desk.home("guild")
    assert f"fingerprint of the charter: {guild.config().federation.charter}" in founded
    assert stat.S_IMODE((guild.path / PASSWORD).stat().st_mode) == 0o600
    assert (guild.path / PASSWORD).read_text().strip() not in founded
    assert json.loads(desk.done("ledger verify FOLDER/guild --json"))["ok"]

    invited = desk.done("federation invite north --home FOLDER/guild --out FOLDER/north.invite")
    assert "north.invite: invitation of north until " in invited
    invite = read_invite(desk.folder / "north.invite")
    assert desk.users() == {"aggregator", "north", invite.door}
    assert "north       invited" in desk.done("federation members --home FOLDER/guild")

    desk.done("init FOLDER/bank --name north --organisation Bank")
    waiting = desk.refused("join FOLDER/north.invite --home FOLDER/bank --wait 0")
    assert "no answer from aggregator: is its agent running?" in waiting
    fingerprint = desk.home("bank").identity().public.fingerprint
    shown = desk.type("federation admit north --home FOLDER/guild", answer="n\n")
    assert shown.exit_code == 1
    assert f"north (Bank) asks since {time.strftime('%Y', time.gmtime())}" in shown.output
    assert fingerprint in shown.output
    told = [
        json.loads(line) for line in desk.done("federation members --home FOLDER/guild --json").splitlines()
    ]
    assert [(row["name"], row["status"]) for row in told] == [("aggregator", "active"), ("north", "waiting")]
    assert told[1]["fingerprint"] == fingerprint
    assert told[1]["organisation"] == "Bank"

    admitted = desk.done("federation admit north --home FOLDER/guild", answer="y\n")
    assert "north: admitted; waiting up to " in admitted
    assert "has not fetched its answer yet" in admitted
    with at_work(guild) as keeper:
        until(lambda: ready(keeper), "the keeper")
        joined = desk.done("join FOLDER/north.invite --home FOLDER/bank")
        assert (
            f"north belongs to {desk.federation} now\n  it takes part in jobs of aggregator, with any"
            in joined
        )
        with at_work(desk.home("bank")):
            until(lambda: "north" in desk.done("federation members --home FOLDER/bank"), "the chain")
        assert "copy of the ledger, as of entry 1: the agent" in desk.done(
            "federation members --home FOLDER/bank"
        )
    assert json.loads(desk.done("ledger verify FOLDER/bank --json"))["ok"]


def test_members_are_suspended_reinstated_and_leave(founded: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    join(founded)
    assert founded.users() >= {"aggregator", "north"}
    assert "aggregator keeps the ledger, and cannot leave" in founded.refused(
        "federation leave --home FOLDER/guild --yes"
    )
    admitted_ms = roster(founded)["north"]["since_ms"]
    founded.done("federation suspend north --home FOLDER/guild --reason dues")
    assert roster(founded)["north"]["since_ms"] > admitted_ms
    assert "north is not active but suspended" in founded.refused(
        "federation suspend north --home FOLDER/guild --reason again"
    )
    assert "north       suspended" in founded.done("federation members --home FOLDER/guild")
    assert "north is suspended, by its copy of the ledger, as of entry" in suspended_leaves(
        founded, monkeypatch
    )
    founded.done("federation reinstate north --home FOLDER/guild")
    assert roster(founded)["north"]["since_ms"] == admitted_ms
    assert "north is not suspended but active" in founded.refused(
        "federation reinstate north --home FOLDER/guild"
    )
    assert "west is no member" in founded.refused("federation reinstate west --home FOLDER/guild")
    assert "only the keeper does that: aggregator, not north" in founded.refused(
        "federation suspend aggregator --home FOLDER/bank --reason revolt"
    )
    assert "only the keeper" in founded.refused("federation admit west --home FOLDER/bank")
    with at_work(founded.home("guild")):
        assert founded.type("federation leave --home FOLDER/bank", answer="n\n").exit_code == 1
        left = founded.done("federation leave --home FOLDER/bank", answer="y\n")
        assert f"north has left {founded.federation}; the ledger says so" in left
    assert "north has left already" in founded.refused("federation leave --home FOLDER/bank --yes")
    assert "north       left" in founded.done("federation members --home FOLDER/bank")


def test_who_leaves_while_the_keeper_is_away_is_booked_later(
    founded: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(founded)
    with at_work(founded.home("guild")), at_work(founded.home("bank")):
        until(lambda: "north" in founded.done("federation members --home FOLDER/bank"), "the chain")
    monkeypatch.setattr(membership, "CHAINED_S", 0.2)
    left = founded.done("federation leave --home FOLDER/bank --yes")
    assert f"north leaves {founded.federation}: aggregator books it when its agent runs" in left
    with at_work(founded.home("guild")):
        until(lambda: " left" in founded.done("federation members --home FOLDER/guild"), "booked")


def test_doors_are_shut_once_nobody_needs_them(founded: Desk) -> None:
    join(founded)
    (door,) = founded.users() - {"aggregator", "north"}
    founded.done("federation invite west --home FOLDER/guild --out FOLDER/west.invite")
    assert door not in founded.users()
    west = read_invite(founded.folder / "west.invite").door
    told = founded.done("federation withdraw-invite west --home FOLDER/guild", management=False)
    assert f"temporary users still at the broker: {west}" in told
    assert west in founded.users()
    founded.done("federation invite south --home FOLDER/guild --out FOLDER/south.invite")
    assert west not in founded.users()
    assert "no invitation of west is open" in founded.refused(
        "federation withdraw-invite west --home FOLDER/guild"
    )


def test_a_door_is_shut_as_soon_as_its_joiner_is_in(founded: Desk) -> None:
    authority, _ = servers.shared().certificate("ca")
    founded.done(
        f"federation invite north --home FOLDER/guild --out FOLDER/north.invite --ca {authority}"
        f" --broker-url amqps://127.0.0.1:{servers.shared().tls_port}"
    )
    founded.done("init FOLDER/bank --name north")
    bank, invite = founded.home("bank"), read_invite(founded.folder / "north.invite")
    told: list[str] = []
    with at_work(founded.home("guild")) as keeper, ThreadPoolExecutor(1) as joiner:
        until(lambda: ready(keeper), "the keeper")
        asking = joiner.submit(ask_to_join, bank, bank.identity(), invite, wait_s=60, tell=told.append)
        until(lambda: told, "it asks")
        admitted = founded.done("federation admit north --home FOLDER/guild --yes")
        assert "has not fetched" not in admitted
        asking.result(60)
    assert founded.users() == {"aggregator", "north"}


def test_who_asks_can_be_turned_away_by_command(founded: Desk) -> None:
    founded.done("federation invite north --home FOLDER/guild --out FOLDER/north.invite")
    founded.done("init FOLDER/bank --name north")
    founded.refused("join FOLDER/north.invite --home FOLDER/bank --wait 0")
    assert founded.done("federation admit north --home FOLDER/guild --reject full") == "north: turned away\n"
    with at_work(founded.home("guild")) as keeper:
        until(lambda: ready(keeper), "the keeper")
        assert "aggregator refuses: full" in founded.refused("join FOLDER/north.invite --home FOLDER/bank")


def test_who_joins_again_begins_a_new_incarnation(founded: Desk) -> None:
    join(founded)
    founded.done("federation suspend north --home FOLDER/guild --reason lost-keys")
    join(founded, "newbank")
    with closing(founded.home("newbank").journal(founded.home("newbank").identity())) as journal:
        space, key = RESTORED
        assert key in journal.load(space)
    with at_work(founded.home("guild")) as keeper, at_work(founded.home("newbank")):
        until(lambda: ready(keeper), "the keeper")
        until(lambda: "north" in founded.done("federation members --home FOLDER/newbank"), "the chain")
        left = founded.done("federation leave --home FOLDER/newbank --yes")
        assert "the ledger says so" in left


def test_an_invitation_that_cannot_be_written_or_provided_holds_no_longer(founded: Desk) -> None:
    (founded.folder / "taken.invite").write_text("")
    taken = founded.refused("federation invite north --home FOLDER/guild --out FOLDER/taken.invite")
    assert "taken.invite exists; name another file" in taken
    founded.refused("federation invite north --home FOLDER/guild --out FOLDER/no/where.invite")
    assert "no management API" in founded.refused(
        "federation invite north --home FOLDER/guild --out FOLDER/n.invite --management http://a:b@127.0.0.1:1"
    )
    assert "north" not in founded.done("federation members --home FOLDER/guild")
    assert "expected amqp" in founded.refused(
        "federation invite north --home FOLDER/guild --out FOLDER/n.invite --broker-url http://elsewhere"
    )
    assert "at most 720 hours" in founded.refused(
        "federation invite north --home FOLDER/guild --out FOLDER/n.invite --hours 0"
    )
    second = founded.done("federation invite north --home FOLDER/guild --out FOLDER/n.invite")
    assert "the earlier one" not in second
    third = founded.done("federation invite north --home FOLDER/guild --out FOLDER/m.invite")
    assert "the earlier one holds no longer" in third


def test_without_management_the_lines_to_type_are_printed(desk: Desk) -> None:
    desk.done("init FOLDER/guild --name aggregator --role aggregator")
    printed = desk.done("federation create TOWN --home FOLDER/guild --broker BROKER", management=False)
    assert f"rabbitmqctl add_vhost {desk.federation}" in printed
    password = (desk.home("guild").path / PASSWORD).read_text().strip()
    assert password in printed  # whoever types the lines needs it
    assert "change_password" not in printed  # it may be somebody else's user there
    again = desk.refused("federation create TOWN --home FOLDER/guild --broker BROKER", management=False)
    assert "is founded already, and aggregator keeps its ledger; to build its place" in again
    lines = desk.done("broker commands --home FOLDER/guild --administrator admin")
    assert f"set_permissions -p {desk.federation} admin" in lines
    assert password in lines
    told = desk.done("broker provision --home FOLDER/guild")
    assert told == f"aggregator: provisioned; password in {desk.home('guild').path / PASSWORD}\n"
    with at_work(desk.home("guild")) as keeper:
        until(lambda: ready(keeper), "the keeper has its place")
    invited = desk.done(
        "federation invite north --home FOLDER/guild --out FOLDER/north.invite", management=False
    )
    assert "add_user" in invited
    assert "add_vhost" not in invited


def test_nobody_founds_over_another_federation_at_the_broker(founded: Desk) -> None:
    password = (founded.home("guild").path / PASSWORD).read_text().strip()
    founded.done("init FOLDER/rival --name aggregator --role aggregator")
    told = founded.refused("federation create TOWN --home FOLDER/rival --broker BROKER")
    assert "has a virtual host of this name already, and not by these keys" in told
    assert password not in told
    rival = founded.home("rival")
    assert not (rival.path / LEDGER).exists()  # so that another name is as good as the first
    management = Management.from_url(servers.shared().management_url)
    management.call("DELETE", f"vhosts/{founded.federation}")
    left = founded.refused("federation create TOWN --home FOLDER/rival --broker BROKER")
    assert f"{founded.federation}.aggregator: " in left
    assert "has this user already" in left
    founded.done("broker provision --home FOLDER/guild")  # whose password was not touched
    with at_work(founded.home("guild")) as keeper:
        until(lambda: ready(keeper), "the keeper is let in as before")


def test_an_invitation_is_provisioned_only_where_the_federation_is(founded: Desk) -> None:
    management = Management.from_url(servers.shared().management_url)
    management.call("PUT", f"vhosts/{founded.federation}", {"description": "payroll"})
    told = founded.refused("federation invite north --home FOLDER/guild --out FOLDER/north.invite")
    assert "is another federation's" in told
    assert founded.users() == {"aggregator"}


def test_a_founder_who_was_interrupted_goes_on_with_its_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.done("init FOLDER/guild --name aggregator --role aggregator")
    with monkeypatch.context() as broken:
        broken.setattr(
            "hansa.agents.admission.founding.settle", Mock(side_effect=OSError("the lights went out"))
        )
        desk.refused("federation create TOWN --home FOLDER/guild --broker BROKER")
    other = desk.refused("federation create other --home FOLDER/guild --broker BROKER")
    assert "not the beginning of other" in other
    assert "move it away" in other
    desk.done("federation create TOWN --home FOLDER/guild --broker BROKER")
    with at_work(desk.home("guild")) as keeper:
        until(lambda: ready(keeper), "the keeper")


def test_a_federation_is_founded_once_by_an_aggregator(founded: Desk) -> None:
    again = founded.refused("federation create other --home FOLDER/guild --broker BROKER")
    assert again == f"aggregator belongs to a federation already: {founded.federation}"
    founded.done("init FOLDER/party --name north")
    create = "federation create other --home FOLDER/party --broker BROKER"
    assert "north is no aggregator: add it to agent.roles" in founded.refused(create)
    founded.done("init FOLDER/second --name south --role aggregator")
    assert "expected amqp" in founded.refused(
        "federation create other --home FOLDER/second --broker ftp://host"
    )
    unreachable = "--broker BROKER --management http://a:b@127.0.0.1:1"
    assert "no management API" in founded.refused(
        f"federation create other --home FOLDER/second {unreachable}"
    )
    assert founded.home("second").config().membership is None
    assert "without user and password, 'amqp://host': each agent has a user of its own" in founded.refused(
        "federation create other --home FOLDER/second --broker amqp://ann:secret@host"
    )
    # Nothing was written for a name that came to nothing.
    founded.done("federation create another --home FOLDER/second --broker BROKER", management=False)
    assert founded.home("second").config().federation.id == "another"


def test_names_of_doors_are_nobodys(desk: Desk) -> None:
    assert "are for doors" in desk.refused("init FOLDER/x --name join-me")


def test_certificates_are_checked_before_they_travel(founded: Desk, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("hello")
    (tmp_path / "key.pem").write_text("-----BEGIN CERTIFICATE----- -----BEGIN PRIVATE KEY-----")
    invite = "federation invite north --home FOLDER/guild --broker-url amqps://host --ca FOLDER"
    for name in ("none.pem", "key.pem"):
        assert "expected certificates in PEM" in founded.refused(f"{invite}/{name}")
    assert "no file of certificates" in founded.refused(f"{invite}/missing.pem")


def test_accounts_are_provisioned_again_with_the_passwords_that_are_kept(desk: Desk) -> None:
    shown = desk.done("broker provision --federation TOWN --agent alice --agent bob")
    assert shown.count("password (shown this once): ") == 2
    live = desk.refused("broker provision --federation TOWN --agent alice --password-dir FOLDER/passwords")
    assert "another password would lock its agent out" in live
    file = desk.folder / "passwords" / "alice.password"
    assert not file.exists()
    kept = desk.done(
        "broker provision --federation TOWN --agent alice --password-dir FOLDER/passwords --reset-password"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = file.read_text().strip()
    assert password not in kept
    desk.done("broker provision --federation TOWN --agent alice --password-dir FOLDER/passwords")
    assert file.read_text().strip() == password
    lines = desk.done("broker commands --federation TOWN --agent alice --password-dir FOLDER/passwords")
    assert password in lines
    assert "rabbitmqctl set_topic_permissions" in lines
    assert desk.users() == {"alice", "bob"}
    assert desk.done("broker withdraw --federation TOWN --agent bob") == "bob: gone from the broker\n"
    assert desk.users() == {"alice"}
    missing = desk.refused("broker provision --federation TOWN --agent alice", management=False)
    assert "--management URL or HANSA_MANAGEMENT" in missing


def test_accounts_are_named_or_a_homes(founded: Desk) -> None:
    for line in ("broker provision --federation TOWN", "broker commands"):
        assert "--federation and --agent, or --home" in founded.type(line).output
    both = founded.type("broker provision --federation TOWN --agent alice --home FOLDER/guild")
    assert "--home says all" in both.output
    guild = founded.home("guild")
    guild.edit(lambda document: document["broker"].pop("password_file"))
    assert "names no broker.password_file" in founded.refused("broker provision --home FOLDER/guild")


def test_the_management_api_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "management"
    file.write_text("https://admin:secret@host\n")
    with pytest.raises(HomeError, match="lets others read it"):
        open_management(f"@{file}")
    file.chmod(0o600)
    assert open_management(f"@{file}").url == "https://host:15671"
    authority, _ = servers.shared().certificate("ca")
    assert open_management(f"@{file}", authority).context is not None
    with pytest.raises(FederationError, match="no file of certificates"):
        open_management(f"@{file}", file)
    with pytest.raises(FederationError, match="management addresses look like") as refused:
        open_management("http://admin:secret@")
    assert "secret" not in str(refused.value)


def test_commands_that_need_a_federation_or_a_broker_say_so(desk: Desk) -> None:
    desk.done("init FOLDER/bank --name north")
    assert "belongs to no federation yet" in desk.refused("federation members --home FOLDER/bank")
    assert "no agent's home" in desk.refused("federation members --home FOLDER")


def test_a_keeper_without_a_broker_invites_nobody(desk: Desk) -> None:
    with found(desk.folder / "local"):
        pass
    told = desk.refused("federation invite south --home FOLDER/local/aggregator --out FOLDER/south.invite")
    assert "agent.toml has no [broker]" in told
