"""Reports of audits, made by hand: a good one, a bad one, one of nothing, and a large one."""

import hashlib
import math
from dataclasses import replace

from hansa.ledger.report import (
    AuditReport,
    CheckpointLine,
    Finding,
    JobLine,
    MemberLine,
    Point,
    Subject,
    Tick,
)

START_MS = 1_795_000_000_000  # 2026-11-18
HOUR_MS = 3_600_000
NAMES = ("aggregator", "north", "south", "west")


def digest(text: str) -> str:
    """Return 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def member(name: str, **datasets: tuple[int, int]) -> MemberLine:
    """Return a member."""
    return MemberLine(name, f"{name.title()} Savings Bank", "active", digest(name), 3, 214, datasets)


def job(number: int, rounds: int = 40, **changes: object) -> JobLine:
    """Return a finished job with a course."""
    points = tuple(
        Point(
            step,
            2.3 * math.exp(-step / (rounds / 4)) + 0.21 + 0.03 * math.sin(step * number),
            0.97 - 0.8 * math.exp(-step / (rounds / 5)) + 0.004 * math.cos(step),
            START_MS + step * 60_000,
        )
        for step in range(1, rounds + 1)
    )
    made = JobLine(
        name=f"digits-{number}",
        protocol="horizontal-fedavg",
        coordinator="aggregator",
        parties=("north", "south", "west"),
        status="finished",
        proposed_at=20 + 100 * number,
        ended_at=110 + 100 * number,
        metric="accuracy",
        points=points,
        method="data volume (training rows)",
        shares={"north": 374, "south": 605, "west": 235},
        uses=1_200,
        withdrawn={},
        model_digest=digest(f"model {number}"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def checkpoint(
    size: int, epoch: int = 0, cosigners: int = 2, valid: bool = True, needed: int = 2
) -> CheckpointLine:
    """Return a checkpoint of so many names."""
    keeper = NAMES[epoch % 2]
    names = [name for name in NAMES if name != keeper] + [f"member-{number}" for number in range(60)]
    times = {name: START_MS // 1000 + size * 30 + at for at, name in enumerate(names[:cosigners])}
    return CheckpointLine(size, epoch, keeper, digest(f"root {size}"), times, needed, valid)


def ticks(size: int, slices: int = 96, takeover: int = 60) -> tuple[Tick, ...]:
    """Return a life of so many entries."""
    found = []
    for number in range(slices):
        kinds = {"round-closed": size // slices // 2, "model-evaluated": size // slices // 3 + number % 7}
        if number % 12 == 0:
            kinds |= {"job-proposed": 1, "job-accepted": 3}
        if number % 12 == 9:
            kinds |= {
                "job-finished": 1,
                "contribution-measured": 1,
                "payout-proposed": 1,
                "payout-approved": 3,
            }
        if number < 3:
            kinds |= {"member-admitted": 1, "dataset-registered": 1}
        if number == takeover:
            kinds |= {"keeper-changed": 1}
        found.append(Tick(START_MS + number * HOUR_MS, START_MS + (number + 1) * HOUR_MS, kinds))
    return tuple(found)


def finding(
    subject: Subject, text: str, holds: bool = True, index: int | None = None, concern: bool = False
) -> Finding:
    """Return a finding."""
    return Finding(subject, holds, text, index, concern)


GOOD_FINDINGS = (
    finding("file", "The file is whole: every part is there, and nothing follows its end."),
    finding(
        "charter", "Entry 0 founds the federation, and its hash is the fingerprint that you brought along."
    ),
    finding("entries", "All 1,204 entries follow one another: each names the hash of the one before it."),
    finding(
        "signatures",
        "All 1,204 entries bear their authors' signatures, under keys that were theirs at the time.",
    ),
    finding("receipts", "The keeper of the time has signed a receipt for each entry."),
    finding("tree", "The Merkle tree over the entries has the root that the newest checkpoint names."),
    finding("checkpoints", "All 31 checkpoints are of this ledger; 29 are final."),
    finding(
        "keepers",
        "north took over from aggregator at entry 752, with the names of 3 of 4 members.",
        index=752,
    ),
    finding("payouts", "The 8 payouts are as the measured shares and the largest-remainder rule have them."),
    finding("evidence", "The file holds no evidence against anybody."),
)


def good() -> AuditReport:
    """Return the report of a ledger that holds, whose last entries are not final."""
    size = 1_204
    return AuditReport(
        source="town.hansa-ledger",
        federation="town",
        purpose="Train models of handwritten digits on rows that stay with their owners.",
        fingerprint=digest("charter"),
        pinned=True,
        size=size,
        root=digest("root"),
        head=digest("head"),
        epoch=1,
        keeper="north",
        final_size=1_150,
        first_ms=START_MS,
        last_ms=START_MS + 96 * HOUR_MS,
        findings=(
            *GOOD_FINDINGS,
            finding(
                "checkpoints",
                "The last 54 entries are not final yet: no payout should rest on them.",
                concern=True,
            ),
        ),
        members=(
            replace(member("aggregator"), organisation="The Guild"),
            member("north", digits=(374, 0)),
            member("south", digits=(605, 42), ledgers=(12_000, 0)),
            replace(member("west", digits=(235, 0)), status="left"),
        ),
        jobs=(
            job(1, withdrawn={"south": 42}),
            job(
                2,
                rounds=12,
                status="aborted",
                reason="south has been away for two minutes",
                shares={},
                uses=0,
            ),
            job(3, points=(), protocol="alignment", metric="", shares={}, uses=0, model_digest=""),
            job(4, protocol="vertical-logistic", metric="auc"),
        ),
        checkpoints=tuple(
            checkpoint(size, int(size > 752), 1 if size == 1_204 else 2)
            for size in (*range(50, 1_151, 50), 1_204)
        ),
        timeline=ticks(size),
    )


def bad() -> AuditReport:
    """Return the report of a ledger whose keeper has signed two histories."""
    wrong = (
        finding(
            "entries",
            "Entry 812 is not what followed entry 811: its author's signature is by west, but it says that south"
            " wrote it. Expected a signature under south's key 9f3a 77c1 …",
            holds=False,
            index=812,
        ),
        finding(
            "evidence",
            "aggregator has signed two histories of epoch 0 that part after entry 700.",
            holds=False,
        ),
    )
    return replace(
        good(),
        pinned=False,
        size=812,
        final_size=800,
        findings=(
            *GOOD_FINDINGS[:2],
            *wrong,
            finding(
                "charter",
                "No fingerprint was brought along, so nothing says whose charter it is.",
                concern=True,
            ),
        ),
        checkpoints=(*(checkpoint(size) for size in range(50, 801, 50)), checkpoint(812, valid=False)),
    )


def empty() -> AuditReport:
    """Return the report of a file that is no ledger."""
    found = (finding("file", "photo.jpg is no export of a ledger: it begins with ff d8 ff e0.", holds=False),)
    return AuditReport("photo.jpg", "", "", "", True, 0, "", "", 0, "", 0, 0, 0, found)


def big() -> AuditReport:
    """Return the report of a ledger of a million entries: 50 members, 200 jobs, 2,000 checkpoints."""
    names = [f"bank-{number:02}" for number in range(50)]
    jobs = tuple(
        job(number, 200, shares={name: 100 + 7 * at for at, name in enumerate(names)})
        for number in range(200)
    )
    return replace(
        good(),
        size=1_000_000,
        final_size=999_500,
        members=tuple(member(name, customers=(100_000, 17), loans=(5_000, 0)) for name in names),
        jobs=jobs,
        checkpoints=tuple(
            checkpoint(500 * number, number // 700, cosigners=30, needed=25) for number in range(1, 2_001)
        ),
        timeline=ticks(1_000_000, 400),
    )
