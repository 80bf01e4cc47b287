"""Who may do what on a real broker, and how it came to be so."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pika
import pytest
from pika import exceptions
from pika.adapters.blocking_connection import BlockingChannel

from hansa.broker import (
    AccessRefused,
    Account,
    AmqpTransport,
    BadName,
    BrokerUnreachable,
    ChunkFrame,
    Management,
    Outcome,
    ProvisionFailed,
    commands,
    encode_chunk,
    provision,
    seal_array,
    withdraw,
)
from hansa.broker.identity import EVERYBODY
from hansa.broker.layout import dead_exchange, description, exchange, queue, takeover_key, user
from hansa.broker.provision import claim
from tests import servers
from tests.broker.builders import seal
from tests.broker.conformance import PATIENCE_S, bodies, learn, take, take_safely
from tests.broker.town import PASSWORD, Town


@contextmanager
def channel(town: Town, agent: str) -> Iterator[BlockingChannel]:
    """Give an agent's bare channel: what its user can do with any client."""
    connection = pika.BlockingConnection(town.address(agent).parameters("a bare client"))
    try:
        bare = connection.channel()
        bare.confirm_delivery()
        yield bare
    finally:
        connection.close()


Deed = Callable[[BlockingChannel, Town], Any]

FORBIDDEN: dict[str, Deed] = {
    "read another's control": lambda bob, town: bob.basic_consume("carol.control", print),
    "read another's data": lambda bob, town: bob.basic_consume("carol.data", print),
    "read another's events": lambda bob, town: bob.basic_consume("carol.events", print),
    "read another's requests to join": lambda bob, town: bob.basic_get("carol.join"),
    "read another's dead letters": lambda bob, town: bob.basic_get("carol.dead"),
    "empty another's queue": lambda bob, town: bob.queue_purge("carol.control"),
    "publish in another's name": lambda bob, town: bob.basic_publish(town.name, "alice.carol.control", b""),
    "publish under a longer name": lambda bob, town: bob.basic_publish(town.name, "bobby.carol.control", b""),
    "send another away": lambda bob, town: bob.basic_publish(town.name, takeover_key("carol"), b"9:9"),
    "empty another's data": lambda bob, town: bob.queue_purge("carol.data"),
    "tell events in another's name": lambda bob, town: bob.basic_publish(
        town.name, f"alice.{EVERYBODY}.event", b""
    ),
    "publish through a built-in exchange": lambda bob, town: bob.basic_publish("amq.fanout", "", b""),
    "publish past the exchange": lambda bob, town: bob.basic_publish("", "carol.control", b""),
    "publish dead letters": lambda bob, town: bob.basic_publish(
        dead_exchange(town.name), "bob.carol.data", b""
    ),
    "publish as another user": lambda bob, town: bob.basic_publish(
        town.name,
        "bob.carol.control",
        b"",
        pika.BasicProperties(user_id=user(town.name, "alice")),  # type: ignore[no-untyped-call]
    ),
    "declare a queue": lambda bob, town: bob.queue_declare("bob.more", durable=True),
    "declare an unnamed queue": lambda bob, town: bob.queue_declare("", exclusive=True),
    "declare an exchange": lambda bob, town: bob.exchange_declare("bob.exchange"),
    "bind its own queue": lambda bob, town: bob.queue_bind("bob.control", town.name, "#"),
    "unbind its own queue": lambda bob, town: bob.queue_unbind("bob.control", town.name, "*.bob.control"),
    "bind another's queue": lambda bob, town: bob.queue_bind("carol.control", town.name, "#"),
    "unbind another's queue": lambda bob, town: bob.queue_unbind(
        "carol.control", town.name, "*.carol.control"
    ),
    "bind its queue to a built-in exchange": lambda bob, town: bob.queue_bind(
        "bob.control", "amq.topic", "#"
    ),
    "delete another's queue": lambda bob, town: bob.queue_delete("carol.control"),
    "delete what nobody uses": lambda bob, town: bob.queue_delete("carol.dead", if_empty=True),
    "unbind an exchange": lambda bob, town: bob.exchange_unbind(town.name, dead_exchange(town.name), "#"),
    "bind an exchange": lambda bob, town: bob.exchange_bind(town.name, dead_exchange(town.name), "#"),
    "delete its own queue": lambda bob, town: bob.queue_delete("bob.control"),
    "delete the exchange": lambda bob, town: bob.exchange_delete(town.name),
}


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    """One federation for all that is forbidden in it."""
    town = Town.somewhere()
    yield town
    town.close()


@pytest.mark.parametrize("deed", FORBIDDEN.values(), ids=FORBIDDEN)
def test_an_agents_user_may_not(place: Town, deed: Deed) -> None:
    with channel(place, "bob") as bob, pytest.raises(exceptions.ChannelClosedByBroker) as refused:
        deed(bob, place)
    # 403 refused, 406 a user-id that is not its own
    assert refused.value.reply_code in (403, 406)


def test_an_agents_user_may_read_its_own_queues_and_publish_in_its_own_name(place: Town) -> None:
    with channel(place, "bob") as bob:
        bob.basic_publish(place.name, "bob.bob.control", b"note", mandatory=True)
        _, _, body = next(bob.consume("bob.control", auto_ack=True, inactivity_timeout=PATIENCE_S))
        assert body == b"note"
        assert bob.basic_get("bob.dead") == (None, None, None)
        assert bob.queue_purge("bob.events") is not None


def test_an_agents_user_does_not_reach_the_management_api(place: Town) -> None:
    intruder = replace(place.management, user=user(place.name, "bob"), password=PASSWORD)
    with pytest.raises(ProvisionFailed, match="401"):
        intruder.call("GET", "overview")


DOOR = "join-0123abcd"

BARRED: dict[str, Deed] = {
    "read the keeper's join queue": lambda door, town: door.basic_get("alice.join"),
    "read a member's mail": lambda door, town: door.basic_get("bob.control"),
    "read another's door": lambda door, town: door.basic_get("join-ffffffff.control"),
    "hear events": lambda door, town: door.basic_consume("bob.events", print),
    "ask a member who is not the keeper": lambda door, town: door.basic_publish(
        town.name, f"{DOOR}.bob.join", b""
    ),
    "write to the keeper otherwise": lambda door, town: door.basic_publish(
        town.name, f"{DOOR}.alice.control", b""
    ),
    "write to a member": lambda door, town: door.basic_publish(town.name, f"{DOOR}.bob.data", b""),
    "speak to everybody": lambda door, town: door.basic_publish(town.name, f"{DOOR}.all.event", b""),
    "ask in another door's name": lambda door, town: door.basic_publish(
        town.name, "join-ffffffff.alice.join", b""
    ),
    "ask in a member's name": lambda door, town: door.basic_publish(town.name, "bob.alice.join", b""),
    "publish past the exchange": lambda door, town: door.basic_publish("", "alice.join", b""),
    "declare a queue": lambda door, town: door.queue_declare(f"{DOOR}.more", durable=True),
    "bind its own queue": lambda door, town: door.queue_bind(f"{DOOR}.control", town.name, "#"),
    "delete its own queue": lambda door, town: door.queue_delete(f"{DOOR}.control"),
}


@pytest.fixture(scope="module")
def doors(place: Town) -> Town:
    """The same federation, with two doors that lead to alice."""
    accounts = [Account(name, PASSWORD, door_to="alice") for name in (DOOR, "join-ffffffff")]
    provision(place.management, place.name, accounts)
    place.agents = (*place.agents, DOOR, "join-ffffffff")
    return place


@pytest.mark.parametrize("deed", BARRED.values(), ids=BARRED)
def test_whoever_is_invited_may_not(doors: Town, deed: Deed) -> None:
    with channel(doors, DOOR) as door, pytest.raises(exceptions.ChannelClosedByBroker) as refused:
        deed(door, doors)
    assert refused.value.reply_code == 403


def test_whoever_is_invited_may_ask_the_keeper_and_hear_nobody_else(doors: Town) -> None:
    alice, bob = doors.connect("alice"), doors.connect("bob")
    with channel(doors, DOOR) as door:
        door.basic_publish(doors.name, f"{DOOR}.alice.join", b"let me in", mandatory=True)
        assert bodies(take_safely(alice, 1)) == [b"let me in"]
        bob.publish(f"bob.{DOOR}.control", b"psst", 1)
        assert learn(bob, 1) == [Outcome(1, "unroutable")]
        alice.publish(f"alice.{DOOR}.control", b"come in", 1)
        _, _, body = next(door.consume(f"{DOOR}.control", auto_ack=True, inactivity_timeout=PATIENCE_S))
        assert body == b"come in"


def test_a_withdrawn_door_is_shut(doors: Town) -> None:
    provision(doors.management, doors.name, [Account("join-00000000", PASSWORD, door_to="alice")])
    with channel(doors, "join-00000000"):
        pass
    withdraw(doors.management, doors.name, "join-00000000")
    with pytest.raises(exceptions.ProbableAuthenticationError), channel(doors, "join-00000000"):
        pass


def test_members_and_doors_are_not_named_alike() -> None:
    with pytest.raises(BadName, match="doors"):
        Account(DOOR, PASSWORD)
    with pytest.raises(ValueError, match="8 hex digits"):
        Account("bob", PASSWORD, door_to="alice")


def test_an_agent_of_one_federation_does_not_enter_another(town: Town, place: Town) -> None:
    stray = AmqpTransport(replace(place.address("bob"), vhost=town.name), town.name, "bob")
    with pytest.raises(AccessRefused):
        stray.ready(PATIENCE_S)
    stray.close()


def test_nothing_on_the_broker_can_be_read_in_clear(node: servers.Node) -> None:
    town = Town.on(node)
    administer = town.management.call
    administer("PUT", f"queues/{town.name}/tap", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    administer("POST", f"bindings/{town.name}/e/{exchange(town.name)}/q/tap", {"routing_key": "#"})
    alice, bob = town.connect("alice"), town.connect("bob")
    secret, canary = b"the patient's weight is 81 kg", b"a canary that anybody may see"
    weights = np.frombuffer(secret * 8_000, dtype=np.uint8)
    _, chunks = seal_array(weights, bytes(32))
    frames = [
        ("control", seal(body=secret, federation=town.name)),
        ("control", seal(body=secret + bytes(100_000), federation=town.name)),
        *(
            ("data", encode_chunk(ChunkFrame(town.name, "alice", "bob", bytes(16), 0, 1, chunk)))
            for chunk in chunks
        ),
        ("data", canary),
    ]
    for tag, (lane, frame) in enumerate(frames):
        alice.publish(f"alice.bob.{lane}", frame, tag)
    assert {outcome.status for outcome in learn(alice, len(frames))} == {"confirmed"}
    bob.reject(delivery.tag for delivery in take(bob, len(frames)))
    deadline = time.monotonic() + PATIENCE_S
    while len(town.dead_letters("bob")) < len(frames):
        assert time.monotonic() < deadline
    everything = [*town.peek("tap"), *town.dead_letters("bob")]
    assert len(everything) >= 2 * len(frames)
    everything += [path.read_bytes() for path in Path(node.folder, "data").rglob("*") if path.is_file()]
    assert sum(canary in found for found in everything) >= 3  # tap, dead letters, disk: nothing is overlooked
    assert not any(secret in found for found in everything)
    town.close()


def test_provisioning_again_adds_members_and_changes_passwords(town: Town) -> None:
    alice = town.connect("alice")
    alice.publish("alice.bob.control", b"kept", 1)
    learn(alice, 1)
    town.provision()
    provision(
        town.management,
        town.name,
        [Account("bob", "another password"), Account("dora", "a third")],
    )
    town.agents = (*town.agents, "dora")
    bob = AmqpTransport(replace(town.address("bob"), password="another password"), town.name, "bob")
    bob.ready(PATIENCE_S)
    assert bodies(take_safely(bob, 1)) == [b"kept"]
    bob.close()
    alice.publish("alice.dora.control", b"welcome", 2)
    assert learn(alice, 1) == [Outcome(2, "confirmed")]


def test_a_withdrawn_agent_is_gone_and_its_mail_unroutable(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob")
    withdraw(town.management, town.name, "bob")
    withdraw(town.management, town.name, "bob")
    bob.wake()
    alice.publish("alice.bob.control", b"anybody there?", 1)
    assert learn(alice, 1) == [Outcome(1, "unroutable")]
    town.provision()


def test_a_refused_step_is_named(town: Town) -> None:
    town.management.call("DELETE", f"queues/{town.name}/{queue('alice', 'control')}")
    town.management.call("PUT", f"queues/{town.name}/{queue('alice', 'control')}", {"durable": True})
    with pytest.raises(ProvisionFailed, match=r"PUT queues/.*/alice\.control: 400 .*inequivalent arg"):
        town.provision()


def test_whoever_is_no_administrator_is_refused(town: Town) -> None:
    with pytest.raises(ProvisionFailed, match="401"):
        provision(replace(town.management, password="wrong"), town.name, [])


def test_a_place_is_claimed_once_and_again_by_the_same_keys(town: Town) -> None:
    keeper, name = Account("alice", "a password"), f"claimed-{town.name}"[:40]
    claim(town.management, name, keeper, "a1" * 32)
    claim(town.management, name, keeper, "a1" * 32)
    with pytest.raises(ProvisionFailed, match="not by these keys"):
        claim(town.management, name, keeper, "b2" * 32)
    with pytest.raises(ProvisionFailed, match="not by these keys"):
        claim(town.management, town.name, keeper, "a1" * 32)  # one that nobody marked is somebody's, too
    provision(town.management, name, [Account("bob", "another")], "a1" * 32)
    with pytest.raises(ProvisionFailed, match="another federation's"):
        provision(town.management, name, [Account("bob", "a third")], "b2" * 32)
    provision(town.management, name, [])
    told = json.loads(town.management.call("GET", f"vhosts/{name}"))
    assert told["description"] == description("a1" * 32)
    for path in (f"vhosts/{name}", *(f"users/{user(name, each)}" for each in ("alice", "bob"))):
        town.management.call("DELETE", path)


def test_a_new_account_takes_nobodys_user(town: Town) -> None:
    with pytest.raises(ProvisionFailed, match=r"\.bob: http.* has this user already"):
        provision(town.management, town.name, [Account("bob", "another password", anew=True)])
    town.connect("bob")


def test_lines_for_a_new_account_change_nobodys_password() -> None:
    text = "\n".join(commands("town", [Account("alice", "secret", anew=True)], owner="a1" * 32))
    assert "add_user town.alice" in text
    assert "change_password" not in text
    assert f"add_vhost town --description '{description('a1' * 32)}'" in text


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_what_is_no_management_api_is_named(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(Management, "call", lambda *_: answer)
    with pytest.raises(ProvisionFailed, match="http://a:15672 is no management API"):
        Management.from_url("http://u:p@a").find("vhosts/town")


def test_an_absent_management_api_is_named() -> None:
    with pytest.raises(BrokerUnreachable, match=r"http://127\.0\.0\.1:1"):
        provision(Management.from_url("http://guest:guest@127.0.0.1:1"), "town", [])


@pytest.mark.parametrize("name", ["", "Town", "a.b", "a b", "all", "x" * 41, "a;b"])
def test_names_that_are_none_are_refused_before_anything_is_built(name: str) -> None:
    absent = Management.from_url("http://guest:guest@127.0.0.1:1")
    with pytest.raises(BadName):
        provision(absent, name, [])
    with pytest.raises(BadName):
        commands("town", [Account(name, "password")])


def test_an_account_needs_a_password() -> None:
    with pytest.raises(ValueError, match="alice needs a password"):
        Account("alice", "")


@pytest.mark.parametrize("url", ["", "ftp://a:b@host", "http://host:15672", "http://"])
def test_what_is_no_management_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="management addresses"):
        Management.from_url(url)


def test_management_addresses_are_read_and_show_no_password() -> None:
    management = Management.from_url("https://ad%40min:se%3Acret@[::1]/rabbit/")
    assert management.url == "https://[::1]:15671/rabbit"
    assert (management.user, management.password) == ("ad@min", "se:cret")
    assert Management.from_url("http://a:b@host").url == "http://host:15672"
    assert "cret" not in repr(management)
    assert "secret" not in repr(Account("alice", "secret"))


def test_the_printed_lines_build_the_same(node: servers.Node, tmp_path: Path) -> None:
    """Type them: rabbitmqctl as on the broker's node, rabbitmqadmin as its management plugin serves it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.management_port}/cli/rabbitmqadmin") as answer:
        (tmp_path / "rabbitmqadmin.py").write_bytes(answer.read())
    bridges = {
        "rabbitmqctl": f"exec {servers.scripts()}/rabbitmqctl",
        "rabbitmqadmin": f"exec {sys.executable} -W ignore {tmp_path}/rabbitmqadmin.py -P {node.management_port}",
    }
    for name, line in bridges.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{line} "$@"\n')
        (tmp_path / name).chmod(0o755)
    password = 'it\'s $HOME "quoted"'
    lines = commands("typed", [Account("alice", password)])
    done = subprocess.run(
        ["sh", "-e"],
        input="\n".join(lines),
        env=node.environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    management = Management.from_url(node.management_url)

    def standing(name: str) -> dict[str, list[dict[str, object]]]:
        """Return a federation's part of the broker's definitions, in comparable order."""
        told = json.loads(management.call("GET", f"definitions/{name}"))
        text = json.dumps(told).replace(name, "NAME")
        kinds = ("queues", "exchanges", "bindings", "policies")
        return {kind: sorted(json.loads(text)[kind], key=json.dumps) for kind in kinds}

    town = Town(node.port, management, ["alice"])
    assert standing("typed") == standing(town.name)
    for path in ("permissions", "topic-permissions"):
        rights = []
        for name in ("typed", town.name):
            told = json.loads(management.call("GET", f"users/{user(name, 'alice')}/{path}"))
            rights.append(json.dumps(told).replace(name, "NAME"))
        assert rights[0] == rights[1]
    address = replace(town.address("alice"), vhost="typed", user=user("typed", "alice"), password=password)
    alice = AmqpTransport(address, "typed", "alice")
    alice.ready(PATIENCE_S)
    alice.close()
    town.close()
    management.call("DELETE", "vhosts/typed")
    management.call("DELETE", f"users/{user('typed', 'alice')}")
