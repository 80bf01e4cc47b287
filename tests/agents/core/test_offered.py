"""Offers wait until the ledger shows their proposals: not from anybody without limit, and not for ever."""

from dataclasses import replace

import pytest

from hansa.agents.core.messages import OWN_SESSIONS, JobAbort, JobAnswer
from hansa.agents.core.offered import MOST_OFFERS, OFFER_S, Offered
from hansa.protocols import PROTOCOLS, PeerError
from tests.agents.core.echo import ECHO, LEADER, NAME, Party, proposed, specification


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, ECHO)


@pytest.fixture
def party() -> Party:
    return Party()


def offered(party: Party) -> Offered:
    return party.machines._offered


def test_an_offer_waits_through_restarts_until_the_ledger_shows_it(party: Party) -> None:
    spec = specification()
    party.machines.offered("trial", LEADER, spec)
    party.machines.consider_offers({}, None)
    party.commit()
    party.start()
    assert party.machines.expects("trial")
    assert not party.machines.knows("trial")
    assert party.machines.going_on() == {"trial"}
    party.machines.consider_offers(proposed(spec), None)
    party.commit()
    assert party.machines.open_jobs() == ("trial",)
    assert party.noted("offer") == 0


@pytest.mark.parametrize("name", sorted(OWN_SESSIONS))
def test_an_offer_under_the_name_of_the_agents_own_sessions_is_not_even_kept(party: Party, name: str) -> None:
    with pytest.raises(PeerError, match=f"^west offered a job of the name '{name}', which no job has$"):
        party.machines.offered(name, "west", replace(specification(), job=name))


@pytest.mark.parametrize("name", ["", "Trial", "all"])
def test_an_offer_without_a_name_cannot_even_be_refused_on_the_ledger(party: Party, name: str) -> None:
    with pytest.raises(PeerError, match="west offered a job without a name"):
        party.machines.offered(name, "west", specification(name))


def test_an_offer_speaks_of_the_job_of_its_session(party: Party) -> None:
    with pytest.raises(PeerError, match="west offered job 'trial' in session 'other'"):
        party.machines.offered("other", "west", specification())


def test_an_offer_comes_once(party: Party) -> None:
    party.machines.offered("trial", LEADER, specification())
    with pytest.raises(PeerError, match="which is known here already"):
        party.machines.offered("trial", LEADER, specification())
    party.machines.offered("trial", "west", specification())  # whose it is, the ledger says
    party.machines.consider_offers(proposed(specification()), None)
    with pytest.raises(PeerError, match="which is known here already"):
        party.machines.offered("trial", LEADER, specification())


def test_nobody_may_offer_any_number_of_jobs_that_the_ledger_does_not_know(party: Party) -> None:
    for number in range(MOST_OFFERS):
        party.machines.offered(f"job-{number}", "west", specification(f"job-{number}"))
    with pytest.raises(PeerError, match=f"west has offered {MOST_OFFERS} jobs that the ledger does not know"):
        party.machines.offered("more", "west", specification("more"))
    party.machines.offered("more", "east", specification("more"))


@pytest.mark.parametrize("other", ["coordinator", "specification", "status"])
def test_what_is_not_what_the_ledger_shows_is_dropped_and_told(party: Party, other: str) -> None:
    spec = specification()
    shown = {
        "coordinator": proposed(spec, "west"),
        "specification": proposed(replace(spec, seed=5)),
        "status": proposed(spec, status="aborted"),
    }[other]
    party.machines.offered("trial", LEADER, spec)
    party.machines.consider_offers(shown, None)
    party.commit()
    assert not party.machines.expects("trial")
    assert party.noted("offer") == 0
    assert ("message-refused", {"error": "PeerError", "peer": LEADER}) in party.desk.events


def test_a_reservation_of_ours_refuses_every_job_with_its_reason(party: Party) -> None:
    party.machines.offered("trial", LEADER, specification())
    party.machines.consider_offers(proposed(specification()), "we are leaving")
    over = party.machines.outcome("trial")
    assert over is not None
    assert (over.outcome, over.reason) == ("refused", "we are leaving")
    assert party.posted == [("trial", LEADER, JobAnswer(False, "we are leaving"))]


def test_a_job_called_off_before_the_ledger_showed_it_is_over(party: Party) -> None:
    party.machines.offered("trial", LEADER, specification())
    party.hear(LEADER, JobAbort("not today", ("west",)))
    over = party.machines.outcome("trial")
    assert over is not None
    assert (over.outcome, over.reason, over.missing) == ("aborted", "not today", ("west",))
    with pytest.raises(PeerError, match="west spoke of job 'other', which is unknown here"):
        party.hear("west", JobAbort("and never"), "other")


def test_an_offer_that_the_ledger_has_not_shown_for_an_hour_is_forgotten(party: Party) -> None:
    party.machines.offered("first", LEADER, specification("first"))
    party.commit()
    party.now_s += OFFER_S / 2
    party.machines.offered("second", LEADER, specification("second"))
    party.commit()
    party.now_s += OFFER_S / 2 + 1
    party.machines.drop_stale_offers()
    party.commit()
    assert offered(party).sessions == {"second"}
    party.machines.drop_stale_offers()
    assert party.noted("offer") == 1
