"""What can be wrong on the way to the others: the broker, our queues and rights there, the others themselves?"""

from collections.abc import Iterator
from typing import Any

import hansa
from hansa.agents.care.doctor import Finding, Patient
from hansa.agents.care.doctor_ledger import SKEW_S
from hansa.agents.core.rollcall import CallRoll
from hansa.agents.errors import AgentError
from hansa.agents.service.reach import reach
from hansa.broker import AccessRefused, BrokerUnreachable, TransportError, UnknownAgent, UntrustedBroker
from hansa.broker.probe import find, greet, logged_in, missing_queues, wrong_rights
from hansa.ledger import Standing

ROLL_S = 2.0

_PROVISION = "whoever runs the broker: hansa broker provision --federation {federation} --agent {agent}"
REMEDIES: tuple[tuple[type[TransportError], str], ...] = (
    (UnknownAgent, _PROVISION),
    (
        UntrustedBroker,
        "check ca_file, cert_file and key_file under [broker] in agent.toml, and renew what expires",
    ),
    (AccessRefused, "check user and password_file under [broker]; else " + _PROVISION),
    (BrokerUnreachable, "check url under [broker] in agent.toml, the network, and that the broker runs"),
    (TransportError, "see the broker's own log and alarms (memory, disk)"),
)


def broker(patient: Patient) -> Iterator[Finding]:
    """Find the broker, trust it, log in."""
    try:
        patient.address = address = patient.home.address()
        find(address)
        greet(address, patient.clock())
        with logged_in(address) as connection:
            connection.process_data_events(0)
    except AgentError as error:
        yield Finding("broker", "wrong", str(error), "correct [broker] in agent.toml, or the file it names")
    except TransportError as error:
        yield _trouble(patient, "broker", error)
    except OSError as error:
        yield Finding(
            "broker", "wrong", str(error), "check the certificates' files under [broker] in agent.toml"
        )
    else:
        yield Finding("broker", "ok", f"{address}: lets us in")
        yield from _alarms(patient)


def _alarms(patient: Patient) -> Iterator[Finding]:
    told = (patient.status or {}).get("broker", {})
    if told.get("state") == "blocked":
        remedy = "whoever runs the broker: free memory or disk there; messages wait here meanwhile"
        yield Finding("broker", "wrong", str(told.get("trouble")), remedy)


def queues(patient: Patient) -> Iterator[Finding]:
    """See whether our queues are there, and ours to read."""
    yield from _asked(patient, "queues", "all there, and ours to read")


def rights(patient: Patient) -> Iterator[Finding]:
    """See whether our user may publish in our name, and in nobody else's."""
    yield from _asked(patient, "rights", "our user may publish in our name, and in no other")


def _asked(patient: Patient, area: str, fine: str) -> Iterator[Finding]:
    assert patient.address is not None  # needed
    assert patient.config is not None
    asked = missing_queues if area == "queues" else wrong_rights
    try:
        with logged_in(patient.address) as connection:
            found = list(asked(connection, patient.config.federation.id, patient.config.agent.name))
    except TransportError as failure:
        found = [failure]
    for error in found:
        yield _trouble(patient, area, error)
    if not found:
        yield Finding(area, "ok", fine)


def peers(patient: Patient) -> Iterator[Finding]:
    """Call the roll: who is there, in which version, with which clock?"""
    lacking = sorted({"disk", "journal", "ledger", "queues", "rights"} - patient.healthy)
    if patient.status is None and lacking:  # the agent would have to be run for it
        yield Finding("peers", "unchecked", f"not checked: needs {lacking[0]}")
        return
    try:
        with reach(patient.home, passphrase_file=patient.passphrase_file) as ask:
            told = ask(CallRoll(ROLL_S))
    except AgentError as error:
        yield Finding("peers", "wrong", str(error), "see the findings above, and the agent's log")
        return
    for name, answer in sorted(told["answers"].items()):
        yield from _peer(name, answer)
    if told["silent"]:
        yield _silent(told["silent"], patient.standing)
    if not told["answers"] and not told["silent"]:
        yield Finding("peers", "ok", "there are no others")


def _silent(names: list[str], standing: Standing | None) -> Finding:
    remedy = "not running, cut off, or with another clock"
    if standing is not None and standing.keeper.name in names:
        remedy += f"; {standing.keeper.name} keeps the ledger, and nothing comes onto it meanwhile"
        if len(standing.roster.witnesses) >= standing.roster.needed_to_succeed:
            remedy += ": if it is gone for good, hansa ledger takeover"
    return Finding("peers", "note", f"no answer from {', '.join(names)}", remedy)


def _peer(name: str, answer: dict[str, Any]) -> Iterator[Finding]:
    sound = True
    if answer["version"] != hansa.__version__:
        sound = False
        text = f"{name} runs hansa {answer['version']}, we {hansa.__version__}"
        yield Finding("peers", "wrong", text, "upgrade whichever is older")
    if abs(answer["ahead_s"]) > SKEW_S / 2:
        sound = False
        side = "ahead of" if answer["ahead_s"] > 0 else "behind"
        text = f"{name}'s clock is {abs(answer['ahead_s']):.0f} s {side} ours"
        yield Finding("peers", "wrong", text, "set both clocks (NTP)")
    if sound:
        yield Finding("peers", "ok", f"{name} runs hansa {answer['version']}")


def _trouble(patient: Patient, area: str, error: TransportError) -> Finding:
    remedy = next(remedy for kind, remedy in REMEDIES if isinstance(error, kind))
    if patient.config is not None and patient.config.membership is not None:
        names = {"federation": patient.config.federation.id, "agent": patient.config.agent.name}
        remedy = remedy.format(**names)
    return Finding(area, "wrong", str(error), remedy)
