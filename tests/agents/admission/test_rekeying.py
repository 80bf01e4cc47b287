"""An agent whose keys are replaced: over a real broker, and wherever it stops on the way."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.admission import rekeying
from hansa.agents.admission.rekeying import NEXT, RotateKeys, keys_to_come, prepare_keys, put_in_place
from hansa.agents.cli import main
from hansa.agents.errors import HomeError
from hansa.agents.home import IDENTITY, Home
from hansa.agents.service.reach import reach
from hansa.broker import BadSignature, Identity, PublicIdentity, Unopenable, WrongPassphrase
from hansa.ledger import DatasetRegistered, Verifier
from tests import servers
from tests.agents.daemons import at_work, ready, until
from tests.agents.towns import found_town, raze_town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[dict[str, Home]]:
    node = servers.shared()
    homes = found_town(tmp_path / "town", node, ["north", "south"])
    yield homes
    raze_town(node, homes)


def hansa(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def on_the_ledger(home: Home, name: str = "north") -> PublicIdentity:
    config = home.config()
    verifier = Verifier(bytes.fromhex(config.federation.charter), config.federation.id)
    with closing(home.stored()) as store:
        for entry in store.read():
            verifier.accept(entry)
    return verifier.standing.members[name].public


# --- keys -----------------------------------------------------------------------------------------------
def test_new_keys_open_what_was_sealed_to_the_old_and_keep_the_home_readable() -> None:
    old = Identity.generate("north")
    new = old.rotated()
    assert new.public.verify_key != old.public.verify_key
    assert new.home_key() == old.home_key()
    assert new.open(old.public.seal(b"late mail", b""), b"") == b"late mail"
    with pytest.raises(Unopenable):
        old.open(new.public.seal(b"new mail", b""), b"")
    with pytest.raises(BadSignature):
        new.public.verify(old.sign(b"data"), b"data")


def test_two_rotations_on_the_first_keys_are_gone_for_good() -> None:
    first = Identity.generate("north")
    third = first.rotated().rotated()
    assert third.home_key() == first.home_key()
    with pytest.raises(Unopenable):
        third.open(first.public.seal(b"mail", b""), b"")


@pytest.mark.parametrize("passphrase", [None, b"open sesame"])
def test_rotated_keys_survive_their_file(tmp_path: Path, passphrase: bytes | None) -> None:
    old = Identity.generate("north")
    old.rotated().save(tmp_path / "key", passphrase)
    again = Identity.load(tmp_path / "key", passphrase)
    assert again.home_key() == old.home_key()
    assert again.open(old.public.seal(b"late mail", b""), b"") == b"late mail"


def test_keys_to_come_are_made_once_and_open_to_the_home_alone(tmp_path: Path) -> None:
    identity, home = Identity.generate("north"), Home(tmp_path)
    assert keys_to_come(home, identity) is None
    fresh = prepare_keys(home, identity)
    assert prepare_keys(home, identity).public == fresh.public
    with pytest.raises(WrongPassphrase):
        keys_to_come(home, Identity.generate("north"))


def test_keys_are_put_in_place_under_the_same_passphrase(tmp_path: Path) -> None:
    identity, home = Identity.generate("north"), Home(tmp_path)
    identity.save(tmp_path / IDENTITY, b"secret")
    fresh = prepare_keys(home, identity)
    put_in_place(home, fresh, b"secret")
    assert Identity.load(tmp_path / IDENTITY, b"secret").public == fresh.public
    assert sorted(path.name for path in tmp_path.iterdir()) == [IDENTITY]


# --- by command -----------------------------------------------------------------------------------------
def test_a_running_agent_goes_on_with_its_new_keys_and_everybody_knows_them(town: dict[str, Home]) -> None:
    old = town["north"].identity().public
    with at_work(town["aggregator"]) as keeper, at_work(town["north"]) as north, at_work(town["south"]):
        until(lambda: ready(keeper) and ready(north), "the daemons connect")
        told = hansa(
            "federation", "rotate-keys", "--home", town["north"].path, "--revoke-old", "stolen laptop"
        )
        assert told.exit_code == 0, told.output
        new = town["north"].identity().public
        assert new != old
        assert new.fingerprint in told.output
        assert "north: former keys revoked; the ledger says so" in told.output
        assert not (town["north"].path / NEXT).exists()
        # What it writes from here on bears the new keys, and is chained.
        agent = north.office().agent
        agent.write(DatasetRegistered("rows", 1, ("a",), None, b"c" * 32))
        until(lambda: not agent.clerk.waiting(), "the entry comes back")
        until(lambda: on_the_ledger(town["south"]) == new, "south hears of it")
    assert on_the_ledger(town["aggregator"]) == new


def test_without_a_running_agent_the_command_waits_for_the_keeper_and_goes_on_when_typed_again(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rekeying, "CHAINED_S", 0.2)
    old = town["north"].identity().public
    told = hansa("federation", "rotate-keys", "--home", town["north"].path)
    assert told.exit_code == 1
    assert told.output == (
        "Error: aggregator has not booked the new keys yet; type this again when its agent runs\n"
    )
    assert town["north"].identity().public == old
    monkeypatch.undo()
    with at_work(town["aggregator"]):
        told = hansa("federation", "rotate-keys", "--home", town["north"].path)
    assert told.exit_code == 0, told.output
    assert on_the_ledger(town["north"]) == town["north"].identity().public != old


def test_a_command_that_died_before_the_keys_were_in_place_leaves_an_agent_that_works(
    town: dict[str, Home],
) -> None:
    home = town["north"]
    fresh = prepare_keys(home, home.identity())
    with at_work(town["aggregator"]):
        with reach(home) as ask:
            assert ask(RotateKeys())["chained"]
        with at_work(home) as north:  # identity.key is the old one still
            until(lambda: north.keys() == fresh.public, "it finds the keys to come")
            until(lambda: ready(north), "and connects")
    assert hansa("federation", "rotate-keys", "--home", home.path).exit_code == 0
    assert home.identity().public == fresh.public


def test_a_home_with_other_keys_than_the_ledger_s_is_told_so(town: dict[str, Home]) -> None:
    home = town["north"]
    older = (home.path / IDENTITY).read_bytes()
    with at_work(town["aggregator"]):
        assert hansa("federation", "rotate-keys", "--home", home.path).exit_code == 0
    (home.path / IDENTITY).write_bytes(older)
    failures: list[Exception] = []
    with at_work(home, failures=failures):
        until(lambda: failures, "it ends")
    assert isinstance(failures[0], HomeError)
    assert "is this an older copy of its home?" in str(failures[0])


def test_the_keeper_revokes_a_member_s_keys_and_the_member_speaks_no_more(town: dict[str, Home]) -> None:
    with at_work(town["aggregator"]) as keeper:
        until(lambda: ready(keeper), "the daemon connects")
        told = hansa(
            *("federation", "revoke-key", "north", "--home", town["aggregator"].path),
            *("--reason", "lost", "--yes"),
        )
        assert told.output == "north: keys revoked; the ledger says so\n"
        assert keeper.office().agent.clerk.standing.members["north"].status == "revoked"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("revoke-key", "nobody", "--reason", "x", "--yes"), "nobody is no member"),
        (("revoke-key", "north", "--former", "--reason", "x", "--yes"), "north has no former key"),
        (
            ("rotate-keys",),
            "aggregator keeps the ledger: its keys cannot change before another member has taken over",
        ),
    ],
)
def test_what_cannot_be_done_to_keys_is_refused_in_one_line(
    town: dict[str, Home], words: tuple[str, ...], complaint: str
) -> None:
    told = hansa("federation", words[0], "--home", town["aggregator"].path, *words[1:])
    assert told.exit_code == 1
    assert told.output == f"Error: {complaint}\n"


def test_keys_are_not_replaced_while_a_job_is_under_way(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.agents.core.agent.Agent.open_jobs", lambda self: ["trial"])
    told = hansa("federation", "rotate-keys", "--home", town["north"].path)
    assert told.output == "Error: job trial is under way; rotate the keys when it is over\n"
    monkeypatch.undo()


def test_an_order_without_keys_to_come_is_refused(town: dict[str, Home]) -> None:
    with pytest.raises(HomeError, match=NEXT), reach(town["north"]) as ask:
        ask(RotateKeys())
