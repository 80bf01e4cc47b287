"""Do the others put their names to the ledger, and has anybody been caught at signing two histories?"""

from collections.abc import Iterator
from contextlib import closing

from hansa.agents.care.checkpoints import newest_heads, not_final_since
from hansa.agents.care.doctor import Finding, Patient, Verdict
from hansa.ledger import LedgerStore, Standing

OLD_S = 1_800.0  # three signs of life of a keeper
_CALL = "start the agents it waits for; hansa ledger checkpoints"


def checkpoints(patient: Patient) -> Iterator[Finding]:
    """Look at the names under the newest heads of our copy."""
    if patient.standing is None:
        yield Finding("checkpoints", "unchecked", "not checked: needs ledger")
        return
    with closing(patient.home.stored()) as store:
        yield from _evidence(store)
        yield _newest(store, patient.standing, patient.clock())


def _evidence(store: LedgerStore) -> Iterator[Finding]:
    kinds = [kind for kind, _ in store.evidence()]
    forks = len(kinds) - kinds.count("equivocation")
    if forks:
        text = f"{forks} pieces of evidence that a keeper has signed two histories"
        yield Finding(
            "checkpoints", "wrong", text, "hansa ledger evidence; another member: hansa ledger takeover"
        )
    if forks < len(kinds):
        text = f"{len(kinds) - forks} members' messages came in two versions under one number"
        yield Finding("checkpoints", "note", text, "hansa ledger evidence")


def _newest(store: LedgerStore, standing: Standing, now_s: float) -> Finding:
    roster = standing.roster
    if not roster.attainable:
        members = f"{len(roster.witnesses)} beside the keeper, and {roster.needed} are needed"
        text = f"no checkpoint can be final: {members}"
        remedy = "let more members in; of two, the charter can name one as successor"
        return Finding("checkpoints", "note", text, remedy)
    final, newest = newest_heads(store, standing)
    since_s = not_final_since(store, final)
    if since_s is None:
        return Finding("checkpoints", "ok", f"final: all {standing.tree.size} entries")
    lacks = f": {newest.lacks}" if newest is not None else ""
    if final is None or final.final_s is None:
        text = f"no checkpoint is final yet{lacks}"
        return Finding("checkpoints", *_verdict(now_s - since_s, text))
    text = f"the newest final checkpoint is {_span(now_s - final.final_s)} old{lacks}"
    return Finding("checkpoints", *_verdict(min(now_s - final.final_s, now_s - since_s), text))


def _verdict(age_s: float, text: str) -> tuple[Verdict, str, str]:
    return ("wrong", text, _CALL) if age_s > OLD_S else ("ok", text, "")


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"
