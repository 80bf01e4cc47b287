"""Ledgers written before coalitions were valued are the same bytes, and say the same, as they did then.

The digests were computed by the version before: a charter of schema 1 and one of schema 2, and a job by volume.
"""

import hashlib
from dataclasses import replace

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    Body,
    ChainedEntry,
    Charter,
    ContributionMeasured,
    DatasetRegistered,
    JobAccepted,
    JobFinished,
    JobProposed,
    MemberAdmitted,
    RoundClosed,
    Verifier,
    link,
    sign_entry,
)

DIGEST = bytes(range(32))
KEEPER, MEMBER = Identity("lubeck", bytes(128)), Identity("bremen", bytes([1]) * 128)
CHARTER = Charter("hansa", KEEPER.public, organisation="City", purpose="salt")
KEYS = MEMBER.public
COURSE: tuple[tuple[Identity, Body], ...] = (
    (KEEPER, MemberAdmitted("bremen", KEYS.verify_key, KEYS.seal_key, "City of Bremen")),
    (MEMBER, DatasetRegistered("catch", 700, ("length", "weight"), "fresh", DIGEST)),
    (
        KEEPER,
        JobProposed(
            "herring", "fedavg", "softmax", {"protocol.rounds": 1}, ("bremen",), "catch", 1, 60.0, DIGEST
        ),
    ),
    (MEMBER, JobAccepted("herring")),
    (KEEPER, RoundClosed("herring", 1, DIGEST, ("bremen",))),
    (KEEPER, ContributionMeasured("herring", "volume", {"bremen": 700})),
    (KEEPER, JobFinished("herring", DIGEST, 0.25, 0.9, "accuracy", 1)),
)
GOLDEN = {
    "schema 1": (
        CHARTER,
        "5812034cad29c0f18dcb2e6cf07114677266f6b86f05beafabad0f6d6f1b7ac9",
        "d4ae8ba42d08d7e48890fbec4f49b0c12af86990762c0d6337ee99ead24aa069",
    ),
    "schema 2": (
        replace(CHARTER, successor="bremen", cosigners=2),
        "ff97892ff6622a1620a627038a4dc023d7ed2ab8251ea16ec3e5cf6a6ff4050c",
        "7730dfadde2f6a0ec64642a7c7d37f7d515a0e8e21e6b3d1a91a0b85962db193",
    ),
}


@pytest.mark.parametrize(("charter", "head", "written"), GOLDEN.values(), ids=GOLDEN.keys())
def test_a_ledger_of_before_is_the_same_bytes_and_is_read_as_it_was(
    charter: Charter, head: str, written: str
) -> None:
    verifier, entries, numbers = Verifier(), list[ChainedEntry](), {"lubeck": 0, "bremen": 0}
    for author, body in ((KEEPER, charter), *COURSE):
        signed = sign_entry(
            author,
            federation="hansa",
            author_seq=numbers[author.name],
            body=body,
            time_ms=1_800_000_000_000,
        )
        numbers[author.name] += 1
        entries.append(link(KEEPER, "hansa", verifier.head, signed))
        verifier.accept(entries[-1])
    stored = b"".join(entry.signed + entry.signature + entry.receipt for entry in entries)
    assert (verifier.head.hash.hex(), hashlib.sha256(stored).hexdigest()) == (head, written)
    job = verifier.standing.jobs["herring"]
    assert (job.status, job.method, job.shares) == ("finished", "volume", {"bremen": 700})
    assert (job.draws, job.started, job.appraisal) == ({}, (), None)
