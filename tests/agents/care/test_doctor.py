"""A doctor that finds what is wrong, names it, says what helps, and finds nothing where nothing is wrong."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import tomlkit
from click.testing import CliRunner

import hansa
from hansa.agents.care import doctor, doctor_home, doctor_ledger, doctor_town
from hansa.agents.care.doctor import Check, Finding, Patient, examine
from hansa.agents.cli import main
from hansa.agents.cli.doctor import CHECKS
from hansa.agents.core.agent import Agent
from hansa.agents.core.clerk import note_head
from hansa.agents.core.journal import Changes
from hansa.agents.errors import AgentError
from hansa.agents.home import IDENTITY, JOURNAL, LEDGER, PASSWORD, Home
from hansa.agents.local import LocalFederation, Member
from hansa.agents.simulation import KEEPER
from hansa.broker import ConnectionLost, Identity, Management, UnknownAgent
from hansa.broker.layout import queue, user
from hansa.ledger import DatasetRegistered, Head, MemberSuspended, StoreError
from tests import servers
from tests.agents.daemons import at_work, ready, until
from tests.agents.towns import connect, found_town, raze_town
from tests.agents.village import village

PARTIES = ("east", "north", "south", "west")
ROWS = "id,age,outcome\na,31,no\nb,44,yes\n"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Home]]:
    """A federation on a broker, its ledger just written to; south is suspended, nobody runs."""
    node = servers.shared()
    data = {"data": {"people": {"file": "people.csv", "target": "outcome"}}}
    folder = tmp_path_factory.mktemp("doctor") / "town"
    homes = found_town(folder, node, [Member(name, config=data) for name in PARTIES])
    for name in PARTIES:
        (homes[name].path / "people.csv").write_text(ROWS)
    with LocalFederation.open(folder) as federation:
        federation.coordinator.write(DatasetRegistered("town", 1, ("age",), None, bytes(32)))
        federation.coordinator.write(MemberSuspended("south", "not paid"))
        heads = [agent.clerk for agent in federation.agents.values()]
        until(lambda: len({clerk.head for clerk in heads}) == 1 and heads[0].head.size == 7, "a level ledger")
        names = (federation.keeper, "east", "north", "west")
        until(lambda: {federation.ask(name, final_entries) for name in names} == {7}, "a final ledger")
    yield homes
    raze_town(node, homes)


def final_entries(agent: Agent) -> int:
    final = agent.witness.heads.final
    return 0 if final is None else final.checkpoint.size


@pytest.fixture
def homes(founded: dict[str, Home], tmp_path: Path) -> dict[str, Home]:
    """Copies of the homes, to be harmed."""
    copied = {}
    for name, home in founded.items():
        shutil.copytree(home.path, tmp_path / name)
        copied[name] = Home(tmp_path / name)
    return copied


def change(home: Home, change: Callable[[tomlkit.TOMLDocument], None]) -> None:
    home.edit(change)


def found(home: Home, *, ahead_s: float = 0.0, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """Return what the doctor finds in a home of a machine whose clock is ahead by so much."""
    return list(examine(Patient(home, clock=lambda: time.time() + ahead_s), checks))


def wrong(findings: Iterable[Finding]) -> dict[str, str]:
    """Return what is wrong, by area, after checking that each says what helps, in one line."""
    bad = [finding for finding in findings if finding.verdict == "wrong"]
    assert all(finding.remedy and "\n" not in finding.text + finding.remedy for finding in bad), bad
    return {finding.area: finding.text for finding in bad}


def verdicts(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.area: finding.verdict for finding in findings}


# --- the whole of it ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["aggregator", "north"])
def test_nothing_is_found_where_nothing_is_wrong(homes: dict[str, Home], name: str) -> None:
    findings = found(homes[name])
    assert wrong(findings) == {}
    assert set(verdicts(findings)) == {check.area for check in CHECKS}
    assert "unchecked" not in verdicts(findings).values()


def test_the_first_of_three_agents_is_told_its_three_faults(homes: dict[str, Home]) -> None:
    north = homes["north"]
    (north.path / IDENTITY).chmod(0o644)
    (north.path / JOURNAL).chmod(0o444)
    (north.path / PASSWORD).write_text("not the password")
    bad = wrong(found(north))
    assert bad.keys() == {"keys", "journal", "broker"}
    assert f"{north.path / IDENTITY} has mode 0644" in bad["keys"]
    assert f"{north.path / JOURNAL}: mode 0444" in bad["journal"]
    assert "refused the login" in bad["broker"]


def test_the_second_of_three_agents_is_told_its_three_faults(homes: dict[str, Home]) -> None:
    node, west = servers.shared(), homes["west"]
    (west.path / "people.csv").write_text(ROWS + "c,old,no\n")
    town = west.config().federation.id
    connect(west, f"amqps://{user(town, 'west')}@127.0.0.1:{node.tls_port}/{town}")
    authority, _ = node.certificate("stranger")
    change(west, lambda document: document["broker"].update({"ca_file": str(authority)}))
    bad = wrong(found(west, ahead_s=-600))
    assert bad.keys() == {"data", "broker", "clock"}
    assert "people.csv" in bad["data"]
    assert f"127.0.0.1:{node.tls_port}: no TLS" in bad["broker"]
    assert "10 min ahead of this machine's clock" in bad["clock"]


def test_the_third_of_three_agents_is_told_its_three_faults(homes: dict[str, Home]) -> None:
    node, south = servers.shared(), homes["south"]
    town = south.config().federation.id
    Management.from_url(node.management_url).call("DELETE", f"queues/{town}/{queue('south', 'data')}")
    with closing(sqlite3.connect(south.path / LEDGER)) as database:
        database.execute("DROP TRIGGER entries_no_update")
        database.commit()
    bad = wrong(found(south))
    assert bad.keys() == {"queues", "ledger", "membership"}
    assert "queue south.data is missing" in bad["queues"]
    assert "trigger entries_no_update missing" in bad["ledger"]
    assert "south is suspended" in bad["membership"]


def test_a_running_agent_is_asked_and_its_peers_answer(
    homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_work(homes["north"]) as north, at_work(homes["east"]) as east:
        until(lambda: ready(north) and ready(east), "two connections")
        findings = found(homes["north"])
        assert wrong(findings) == {}
        assert "runs as process" in " ".join(f.text for f in findings if f.area == "agent")
        assert "east runs hansa" in " ".join(f.text for f in findings if f.area == "peers")
        assert "no answer from aggregator, west" in " ".join(f.text for f in findings if f.area == "peers")
        monkeypatch.setattr("hansa.agents.care.doctor_town.hansa", _Other)
        assert "east runs hansa 0." in wrong(found(homes["north"]))["peers"]


class _Other:
    __version__ = "99.0"


def test_the_command_shows_findings_with_remedies_and_exits_with_1_if_anything_is_wrong(
    homes: dict[str, Home],
) -> None:
    runner = CliRunner()
    sound = runner.invoke(main, ["doctor", "--home", str(homes["east"].path)])
    assert sound.exit_code == 0, sound.output
    assert sound.stdout.endswith("nothing is wrong\n")
    assert "✓ keys" in sound.stdout
    (homes["east"].path / IDENTITY).chmod(0o644)
    one = runner.invoke(main, ["doctor", "--home", str(homes["east"].path)])
    assert one.exit_code == 1
    assert "✗ keys" in one.stdout
    assert f"→ chmod 600 {homes['east'].path / IDENTITY}" in one.stdout
    assert one.stdout.endswith("1 thing is wrong\n")
    (homes["east"].path / "people.csv").unlink()
    told = runner.invoke(main, ["doctor", "--json", "--home", str(homes["east"].path)])
    findings = [json.loads(line) for line in told.stdout.splitlines()]
    assert [each["area"] for each in findings if each["verdict"] == "wrong"] == ["keys", "data"]
    two = runner.invoke(main, ["doctor", "--home", str(homes["east"].path)])
    assert two.stdout.endswith("2 things are wrong\n")


def test_no_secret_is_shown(homes: dict[str, Home]) -> None:
    password = (homes["north"].path / PASSWORD).read_text().strip()
    (homes["north"].path / IDENTITY).chmod(0o644)
    assert password not in str(found(homes["north"]))


# --- the frame ------------------------------------------------------------------------------------------
def patient(tmp_path: Path) -> Patient:
    return Patient(Home(tmp_path))


def test_a_check_that_hangs_or_fails_hides_no_other(tmp_path: Path) -> None:
    def hang(_patient: Patient) -> Iterator[Finding]:
        yield Finding("slow", "ok", "so far")
        time.sleep(2)

    def fail(_patient: Patient) -> Iterator[Finding]:
        yield from ()
        raise RuntimeError("broken")

    def fine(_patient: Patient) -> Iterator[Finding]:
        yield Finding("fine", "ok", "well")

    def refuse(_patient: Patient) -> Iterator[Finding]:
        yield from ()
        raise OSError(28, "No space left on device", "journal.sqlite")

    [refused] = examine(patient(tmp_path), [Check("full", refuse)])
    assert "No space left on device: 'journal.sqlite'" in wrong([refused])["full"]
    checks = [
        Check("slow", hang, (), 0.1),
        Check("broken", fail),
        Check("fine", fine),
        Check("after", fine, ("fine",)),
        Check("never", fine, ("fine", "broken")),
    ]
    findings = list(examine(patient(tmp_path), checks))
    assert [(each.area, each.verdict) for each in findings if each.area != "slow"] == [
        ("broken", "wrong"),
        ("fine", "ok"),
        ("fine", "ok"),
        ("never", "unchecked"),
    ]
    assert "no answer within 0.1 s" in wrong(f for f in findings if f.area == "slow")["slow"]
    assert findings[-1].text == "not checked: needs broken"


# --- files ----------------------------------------------------------------------------------------------
@pytest.fixture
def loner(tmp_path: Path) -> Home:
    """A home that belongs to no federation yet."""
    return Home.create(tmp_path / "home", Identity.generate("north"), {"agent": {"name": "north"}})


def test_a_home_without_a_federation_is_not_called_ill(loner: Home) -> None:
    findings = found(loner)
    assert wrong(findings) == {}
    assert verdicts(findings)["broker"] == verdicts(findings)["ledger"] == "unchecked"
    assert verdicts(findings)["configuration"] == "note"


def test_a_configuration_that_cannot_be_read_leaves_the_rest_unchecked_but_not_unsaid(loner: Home) -> None:
    (loner.path / "agent.toml").write_text("agent = 1")
    findings = found(loner)
    assert wrong(findings).keys() == {"configuration"}
    assert verdicts(findings)["keys"] == "unchecked"
    assert verdicts(findings)["disk"] == "ok"


def test_a_policy_that_names_what_is_not_there_is_found(loner: Home) -> None:
    policy = {"protocols": ["horizontal"], "models": ["softmax", "soft-max"], "datasets": ["loans"]}
    change(loner, lambda document: document.update({"policy": policy}))
    texts = [each.text for each in found(loner, checks=CHECKS[:1]) if each.verdict == "wrong"]
    assert len(texts) == 3
    joined = {"id": "town", "keeper": "hub", "charter": "5a" * 32}
    change(loner, lambda document: document.update({"federation": joined}))
    assert "configuration" in wrong(found(loner, checks=CHECKS[:1]))
    assert "'soft-max'" in texts[1]
    assert "'softmax'" not in texts[1]


def test_keys_under_a_passphrase_ask_for_it(loner: Home, tmp_path: Path) -> None:
    keys = loner.identity()
    (loner.path / IDENTITY).unlink()
    keys.save(loner.path / IDENTITY, b"correct horse")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse")
    secret.chmod(0o600)
    assert "passphrase" in wrong(found(loner))["keys"]
    assert wrong(examine(Patient(loner, passphrase_file=secret), CHECKS)) == {}


def test_missing_keys_are_named(loner: Home) -> None:
    (loner.path / IDENTITY).unlink()
    assert str(loner.path / IDENTITY) in wrong(found(loner))["keys"]


def test_a_disk_that_is_full_or_read_only_is_found(loner: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_home, "LOW_BYTES", 2**60)
    assert "GiB free" in wrong(found(loner, checks=CHECKS[2:3]))["disk"]

    for number, remedy in ((28, "make room"), (30, "mount it writable")):

        def refuse(*_arguments: object, number: int = number, **_options: object) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        [finding] = found(loner, checks=CHECKS[2:3])
        assert finding.verdict == "wrong"
        assert finding.remedy.startswith(remedy)


def test_a_home_whose_lock_is_held_by_one_that_does_not_answer_is_found(
    loner: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loner.held():
        assert "in use by another process" in wrong(found(loner, checks=CHECKS[3:4]))["agent"]

    def refuse(_home: Home) -> int:
        raise PermissionError(13, "Permission denied", "lock")

    monkeypatch.setattr(Home, "lock", refuse)
    assert verdicts(found(loner, checks=CHECKS[3:4])) == {"agent": "unchecked"}


def test_an_agent_that_answers_in_error_or_waits_for_others_is_found(
    loner: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        told: dict[str, object] | Exception

        def __init__(self, home: Home) -> None:
            pass

        def ask(self, order: object, timeout_s: float) -> dict[str, object]:
            if isinstance(self.told, Exception):
                raise self.told
            return self.told

        def close(self) -> None:
            pass

    monkeypatch.setattr(doctor_home, "ControlClient", Client)
    Client.told = AgentError("did not answer within 4 s")
    assert "did not answer" in wrong(found(loner, checks=CHECKS[3:4]))["agent"]
    Client.told = {"pid": 7, "version": hansa.__version__, "awaited": ["west"]}
    assert "before west answer" in wrong(found(loner, checks=CHECKS[3:4]))["agent"]
    for told in ({"pid": 7, "version": "0.0.9"}, {"pid": 7, "version": hansa.__version__}, {}):
        Client.told = told
        [finding] = found(loner, checks=CHECKS[3:4])
        assert f"while {hansa.__version__} is installed" in finding.text
        assert "restart the agent: hansa agent stop" in finding.remedy


def test_a_journal_that_is_damaged_or_of_other_keys_is_found(loner: Home) -> None:
    loner.journal(Identity.generate("other")).close()
    keys = loner.identity()
    with closing(loner.journal(keys)) as journal:
        changes = Changes()
        changes.put("meta", b"a", b"b")
        journal.commit(changes)
    (loner.path / IDENTITY).unlink()
    Identity.generate("north").save(loner.path / IDENTITY)
    assert "another key" in wrong(found(loner))["journal"]
    (loner.path / JOURNAL).write_bytes(b"SQLite format 3\0" + bytes(5_000))
    assert str(loner.path / JOURNAL) in wrong(found(loner))["journal"]
    (loner.path / JOURNAL).write_text("no database" * 100)
    assert str(loner.path / JOURNAL) in wrong(found(loner))["journal"]


def test_no_backup_is_advised_where_the_disk_is_at_fault(
    loner: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (loner.path / JOURNAL).write_text("no database" * 100)
    checks = [check for check in CHECKS if check.area in ("keys", "disk", "journal")]
    [remedy] = [each.remedy for each in found(loner, checks=checks) if each.area == "journal"]
    assert "hansa restore" in remedy
    monkeypatch.setattr(doctor_home, "LOW_BYTES", 2**60)
    [remedy] = [each.remedy for each in found(loner, checks=checks) if each.area == "journal"]
    assert remedy.startswith("see to the disk first")


# --- the ledger -----------------------------------------------------------------------------------------
LEDGER_CHECKS = [check for check in CHECKS if check.area in ("configuration", "keys", "ledger", "membership")]


def test_a_ledger_that_is_missing_damaged_or_changed_is_found(homes: dict[str, Home]) -> None:
    path = homes["north"].path / LEDGER
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER entries_no_update")
        database.execute("UPDATE entries SET kind = 'x', signed = zeroblob(9) WHERE idx = 3")
        database.commit()
    findings = found(homes["north"], checks=LEDGER_CHECKS)
    texts = [each.text for each in findings if each.verdict == "wrong"]
    assert len(texts) == 2
    assert "entry 3" in texts[1]
    assert verdicts(findings)["membership"] == "unchecked"
    for file in path.parent.glob(f"{LEDGER}*"):
        file.unlink()
    assert "no ledger there" in wrong(found(homes["north"], checks=LEDGER_CHECKS))["ledger"]
    path.write_text("no database" * 100)
    assert "ledger" in wrong(found(homes["north"], checks=LEDGER_CHECKS))


def cut(home: Home, size: int) -> None:
    """Cut a copy's end off, by somebody who owns the database."""
    with closing(sqlite3.connect(home.path / LEDGER)) as database:
        [trigger] = database.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'entries_no_delete'"
        ).fetchone()
        database.execute("DROP TRIGGER entries_no_delete")
        database.execute("DELETE FROM entries WHERE idx >= ?", (size,))
        database.execute(trigger)
        database.commit()


def test_a_copy_that_was_cut_short_is_found(homes: dict[str, Home]) -> None:
    cut(homes["north"], 4)
    assert "has seen 7 entries, 4 are left" in wrong(found(homes["north"], checks=LEDGER_CHECKS))["ledger"]


def test_a_journal_that_cannot_be_read_hides_nothing_of_the_ledger(homes: dict[str, Home]) -> None:
    (homes["north"].path / JOURNAL).write_text("no database" * 100)
    findings = found(homes["north"], checks=LEDGER_CHECKS)
    assert wrong(findings) == {}
    assert verdicts(findings)["ledger"] == "ok"


def test_a_long_ledger_is_left_to_the_whole_verification(
    homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_ledger, "QUICK_S", -1.0)
    findings = found(homes["north"], checks=LEDGER_CHECKS)
    [note] = [each for each in findings if each.area == "ledger"]
    assert (note.verdict, note.remedy) == ("note", f"hansa ledger verify {homes['north'].path}")


def test_keys_that_the_ledger_does_not_know_are_found(homes: dict[str, Home]) -> None:
    for name, expected in (("north", "the ledger knows other keys of north"), ("aggregator", None)):
        home = homes[name]
        (home.path / JOURNAL).unlink()
        (home.path / IDENTITY).unlink()
        Identity.generate(name).save(home.path / IDENTITY)
        if expected:
            assert expected in wrong(found(home, checks=LEDGER_CHECKS))["membership"]


def test_a_copy_that_does_not_show_us_yet_is_no_fault(homes: dict[str, Home]) -> None:
    (homes["west"].path / JOURNAL).unlink()
    cut(homes["west"], 1)
    assert verdicts(found(homes["west"], checks=LEDGER_CHECKS))["membership"] == "note"


def test_who_has_left_is_told_so(homes: dict[str, Home]) -> None:
    home = homes["north"]
    ill = Patient(home, identity=home.identity())
    list(doctor_home.configuration(ill))
    list(doctor_ledger.ledger(ill))
    assert ill.standing is not None
    ill.standing.members["north"] = replace(ill.standing.members["north"], status="left")
    assert "north has left" in wrong(doctor_ledger.membership(ill))["membership"]


@pytest.mark.parametrize(("ahead_s", "expected"), [(900.0, "15 min ahead of"), (-36_000.0, "10 h behind")])
def test_the_database_servers_clock_is_held_against_ours(loner: Home, ahead_s: float, expected: str) -> None:
    ill = Patient(loner, server_s=ahead_s)
    assert expected in wrong(doctor_ledger.clock(ill))["clock"]
    assert not wrong(doctor_ledger.clock(Patient(loner, server_s=20.0)))


def test_another_entry_than_was_seen_is_found(homes: dict[str, Home]) -> None:
    home = homes["north"]
    with closing(home.journal(home.identity())) as journal:
        changes = Changes()
        note_head(changes, Head(5, bytes(32)))
        journal.commit(changes)
    assert (
        "entry 4: this agent has seen another one here" in wrong(found(home, checks=LEDGER_CHECKS))["ledger"]
    )


def test_a_database_that_goes_while_it_is_read_is_found(
    homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_store: object) -> None:
        raise StoreError("the server has gone")

    monkeypatch.setattr(doctor_ledger, "server_clock", gone)
    assert wrong(found(homes["north"], checks=LEDGER_CHECKS))["ledger"] == "the server has gone"


def test_a_journal_that_cannot_be_opened_by_us_is_found(loner: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loner.journal(loner.identity()).close()

    def refuse(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor_home, "_quick_check", refuse)
    assert "Permission denied" in wrong(found(loner))["journal"]
    monkeypatch.setattr(doctor_home, "_quick_check", lambda _path: "row 3 missing from index")
    assert "damaged: row 3 missing" in wrong(found(loner))["journal"]


# --- the broker -----------------------------------------------------------------------------------------
BROKER_CHECKS = [check for check in CHECKS if check.area in ("configuration", "broker", "queues", "rights")]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("no-such-host.invalid:5672", "no such host"), ("127.0.0.1:1", "no connection: Connection refused")],
)
def test_a_broker_that_is_not_found_is_named(homes: dict[str, Home], host: str, expected: str) -> None:
    town = homes["north"].config().federation.id
    connect(homes["north"], f"amqp://{user(town, 'north')}@{host}/{town}")
    findings = found(homes["north"], checks=BROKER_CHECKS)
    assert expected in wrong(findings)["broker"]
    assert verdicts(findings)["queues"] == verdicts(findings)["rights"] == "unchecked"


def test_a_password_file_or_certificate_that_is_missing_is_named(homes: dict[str, Home]) -> None:
    (homes["north"].path / PASSWORD).unlink()
    assert str(homes["north"].path / PASSWORD) in wrong(found(homes["north"], checks=BROKER_CHECKS))["broker"]
    node, town = servers.shared(), homes["west"].config().federation.id
    connect(homes["west"], f"amqps://{user(town, 'west')}@127.0.0.1:{node.tls_port}/{town}")
    change(homes["west"], lambda document: document["broker"].update({"ca_file": "none.pem"}))
    assert "No such file" in wrong(found(homes["west"], checks=BROKER_CHECKS))["broker"]


def test_a_broker_that_has_stopped_taking_messages_is_told_from_the_running_agent(loner: Home) -> None:
    blocked = {"broker": {"state": "blocked", "trouble": "the broker is out of disk or memory: low on disk"}}
    assert "low on disk" in wrong(doctor_town._alarms(Patient(loner, status=blocked)))["broker"]
    assert not list(doctor_town._alarms(Patient(loner)))


def test_peers_clocks_are_held_against_ours() -> None:
    late = {"version": hansa.__version__, "ahead_s": -200.0}
    assert "east's clock is 200 s behind ours" in wrong(doctor_town._peer("east", late))["peers"]


def test_an_agent_that_cannot_be_run_for_the_roll_call_is_a_finding(
    homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AgentError("not today")

    monkeypatch.setattr(doctor_town, "reach", refuse)
    ill = Patient(homes["north"], status={"pid": 7})
    assert wrong(doctor_town.peers(ill)) == {"peers": "not today"}


def test_a_connection_that_is_lost_meanwhile_is_a_finding(
    homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_arguments: object) -> None:
        raise ConnectionLost("cut")

    monkeypatch.setattr(doctor_town, "missing_queues", lost)
    assert wrong(found(homes["north"], checks=BROKER_CHECKS)) == {"queues": "cut"}


def test_a_keeper_that_does_not_answer_is_worth_a_word_more() -> None:
    with village() as place:
        standing = place.north.clerk.standing
        for known, names in ((None, [KEEPER]), (standing, ["west"])):
            assert doctor_town._silent(names, known).remedy == "not running, cut off, or with another clock"
        finding = doctor_town._silent([KEEPER, "west"], standing)
        assert (finding.verdict, finding.text) == ("note", f"no answer from {KEEPER}, west")
        assert finding.remedy.endswith("if it is gone for good, hansa ledger takeover")
        for name in ("east", "west"):
            place.turn_out(name)
        place.go()
        alone = doctor_town._silent([KEEPER], place.north.clerk.standing)
        assert alone.remedy.endswith("nothing comes onto it meanwhile")


def test_who_is_alone_has_no_peers(homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def alone(*_arguments: object, **_options: object) -> Iterator[Callable[[object], object]]:
        yield lambda _order: {"answers": {}, "silent": []}

    monkeypatch.setattr(doctor_town, "reach", alone)
    [finding] = doctor_town.peers(Patient(homes["north"], status={"pid": 7}))
    assert (finding.verdict, finding.text) == ("ok", "there are no others")


def test_a_finding_about_the_broker_needs_no_federation_to_be_told() -> None:
    ill = Patient(Home(Path("nowhere")))
    assert "{agent}" in doctor_town._trouble(ill, "broker", UnknownAgent("no queue")).remedy


def test_checks_have_names_of_their_own() -> None:
    assert len({check.area for check in CHECKS}) == len(CHECKS)
    assert doctor.TIMEOUT_S == 5.0
