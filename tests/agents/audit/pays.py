"""Reports with money in them: jobs whose contributions were measured, and payouts on their way."""

from dataclasses import replace

from hansa.ledger.report import AuditReport, JobLine, PayoutLine
from tests.agents.audit import reports

KINDS = ("much", "little", "noisy", "copy", "free-rider", "poisoner")
CONTRIBUTIONS = {
    "much": 0.4127,
    "little": 0.0961,
    "noisy": 0.0312,
    "copy": 0.2208,
    "free-rider": 0.0,
    "poisoner": -0.0874,
}
ERRORS = {
    "much": 0.0113,
    "little": 0.0087,
    "noisy": 0.0102,
    "copy": 0.0094,
    "free-rider": 0.0061,
    "poisoner": 0.0125,
}
WEIGHTS = {
    "much": 542_455_310,
    "little": 126_314_406,
    "noisy": 41_009_464,
    "copy": 290_220_820,
    "free-rider": 0,
    "poisoner": 0,
}
AMOUNTS = {
    "much": 5_424_553,
    "little": 1_263_144,
    "noisy": 410_095,
    "copy": 2_902_208,
    "free-rider": 0,
    "poisoner": 0,
}


def paid_job(**changes: object) -> JobLine:
    """Return a finished job whose contributions follow from the values of coalitions."""
    made = reports.job(
        1,
        parties=KINDS,
        method="gtg",
        shares=WEIGHTS,
        contributions=CONTRIBUTIONS,
        errors=ERRORS,
        gain=0.6734,
        evaluations=312,
        utility="score",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def payout(number: int = 240, **changes: object) -> PayoutLine:
    """Return a settled payout of 100,000 euros."""
    made = PayoutLine(
        number=number,
        job="digits-1",
        basis="training",
        scheme="weights",
        currency="EUR",
        minor_digits=2,
        pot_minor=10_000_000,
        amounts=AMOUNTS,
        proposer="aggregator",
        proposed_ms=reports.START_MS + 30 * reports.HOUR_MS,
        approved=("much", "copy", "little", "noisy"),
        needed=4,
        status="settled",
        settled_ms=reports.START_MS + 54 * reports.HOUR_MS,
        reference="SEPA 2026-11-20/0017",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def uses(number: int, pot_minor: int, **changes: object) -> PayoutLine:
    """Return an open payout for uses of a model, of which the first party gets two thirds."""
    parts = {"much": pot_minor - pot_minor // 3, "copy": pot_minor // 3, "poisoner": 0}
    made = payout(
        number,
        basis="uses",
        pot_minor=pot_minor,
        amounts=parts,
        approved=("much",),
        needed=2,
        status="open",
        waiting=("1 of 2 approvals",),
        settled_ms=None,
        reference="",
        since=number - 60,
        until=number - 20,
        rows=12_000,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def paid() -> AuditReport:
    """Return the report of a ledger with payouts in every state, in two currencies."""
    members = tuple(reports.member(name, digits=(100, 0)) for name in ("aggregator", *KINDS))
    lines = (
        payout(240),
        payout(560, job="loans", pot_minor=4_000_000, amounts={"much": 2_500_000, "copy": 1_500_000}),
        uses(700, 1_200_000, disputed={"copy": "Rows of the 14th were counted twice."}),
        uses(900, 1_450_000, held={"aggregator": "Waiting for the regulator’s answer."}),
        uses(1_000, 99_999, status="withdrawn", waiting=(), approved=()),
        payout(1_100, job="loans", currency="JPY", minor_digits=0, scheme="fli"),
    )
    volumes = reports.job(
        4, name="loans", protocol="vertical-logistic", metric="auc", shares={"much": 5, "copy": 3}
    )
    return replace(reports.good(), members=members, jobs=(paid_job(), volumes), payouts=lines)


def crowd(payouts: int = 50, parties: int = 30) -> AuditReport:
    """Return the report of many payouts to many parties."""
    names = [f"savings-bank-of-a-town-with-a-long-name-{n:02}"[-40:] for n in range(parties)]
    lines = tuple(
        payout(
            1_000 + 10 * n,
            pot_minor=sum(1_000 + 37 * n * at for at in range(parties)),
            amounts={name: 1_000 + 37 * n * at for at, name in enumerate(names)},
            approved=tuple(names[: parties // 2]),
            status="settled" if n % 3 else "open",
        )
        for n in range(payouts)
    )
    values = {name: (at - 4) / 100 for at, name in enumerate(names)}
    job = paid_job(
        parties=tuple(names), shares=dict.fromkeys(names, 1), contributions=values, errors={}, gain=1.0
    )
    return replace(reports.good(), jobs=(job,), payouts=lines)
