"""A small federation to write about: a keeper, two members, and one job that all the rules can be tried on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hansa.broker.identity import Identity
from hansa.ledger import (
    EMPTY,
    Body,
    ChainedEntry,
    Charter,
    Checkpoint,
    ContributionMeasured,
    DatasetRegistered,
    JobAccepted,
    JobFinished,
    JobProposed,
    Keeper,
    LedgerStore,
    MemberAdmitted,
    ModelEvaluated,
    Note,
    PayoutApproved,
    PayoutProposed,
    Refusal,
    RoundClosed,
    SignedEntry,
    Standing,
    link,
    sign_entry,
)
from hansa.ledger.checkpoints import cosign, sign_checkpoint
from tests.ledger.slowtree import audit_path

FEDERATION = "hansa"
NOW_S = 1_800_000_000.0
DIGEST = bytes(range(32))

# Made once: a test that needs another key makes its own.
LUBECK = Identity.generate("lubeck")  # keeps the ledger
BREMEN = Identity.generate("bremen")
DANZIG = Identity.generate("danzig")
STRANGER = Identity.generate("stranger")

CHARTER = Charter(FEDERATION, LUBECK.public, organisation="City of Lübeck", purpose="salt and herring")
PROPOSAL = JobProposed(
    job="herring",
    protocol="fedavg",
    model="softmax",
    settings={"rounds": 3, "rate": 0.5, "l2": 0.0, "shuffle": True, "metric": "accuracy"},
    parties=("bremen", "danzig"),
    dataset="catch",
    quorum=2,
    deadline_s=60.0,
    specification=DIGEST,
)
FINISH = JobFinished("herring", DIGEST, loss=0.25, score=0.9, metric="accuracy", rounds=1)
PAYOUT = PayoutProposed("herring", "EUR", 100, {"bremen": 70, "danzig": 30}, b"a signed note", (DIGEST,))


def admission(identity: Identity) -> MemberAdmitted:
    """Return the entry that lets somebody in."""
    keys = identity.public
    return MemberAdmitted(keys.name, keys.verify_key, keys.seal_key, organisation=f"City of {keys.name}")


def signed_note(
    checkpoint: Checkpoint, keeper: Identity, *cosigners: Identity, time_s: int = int(NOW_S)
) -> Note:
    """Return a checkpoint signed by its keeper and cosigned by others."""
    names = (cosign(each, checkpoint, time_s) for each in cosigners)
    return Note(checkpoint.text, (sign_checkpoint(keeper, checkpoint), *names))


def final_payout(standing: Standing, digests: Sequence[bytes], keeper: Identity = LUBECK) -> PayoutProposed:
    """Return a payout for the job, under this head as Bremen and Danzig cosign it.

    Args:
        digests: (32,) hashes of all entries.
    """
    note = signed_note(standing.head_checkpoint(), keeper, BREMEN, DANZIG)
    path = audit_path(standing.jobs["herring"].rests_at, digests)
    return replace(PAYOUT, checkpoint=note.encoded(), inclusion=tuple(path))


@dataclass(slots=True)
class Town:
    """A ledger and its keeper; remembers everybody's next number."""

    store: LedgerStore
    keeper: Keeper
    genesis: ChainedEntry
    numbers: dict[str, int] = field(default_factory=dict)

    def sign(
        self, author: Identity, body: Body, *, number: int | None = None, time_s: float = NOW_S
    ) -> SignedEntry:
        """Sign an entry under the author's next number, or another one."""
        if number is None:
            number = self.numbers.get(author.name, 0)
            self.numbers[author.name] = number + 1
        return sign_entry(
            author, federation=FEDERATION, author_seq=number, body=body, time_ms=int(time_s * 1000)
        )

    def write(self, author: Identity, *bodies: Body) -> list[ChainedEntry]:
        """Sign and chain; fail the test if the keeper refuses."""
        outcomes = self.keeper.append([self.sign(author, body) for body in bodies], NOW_S)
        chained = [outcome for outcome in outcomes if isinstance(outcome, ChainedEntry)]
        assert len(chained) == len(outcomes), outcomes
        return chained

    def refusal(self, author: Identity, body: Body) -> str:
        """Sign an entry that the keeper must refuse; return why it does, and forget the number."""
        outcome = self.keeper.append([self.sign(author, body)], NOW_S)[0]
        assert isinstance(outcome, Refusal), outcome
        self.numbers[author.name] -= 1
        return outcome.reason

    def entries(self) -> list[ChainedEntry]:
        """Return the whole chain."""
        return list(self.store.read())

    def admit_both(self) -> None:
        """Let Bremen and Danzig in."""
        self.write(LUBECK, admission(BREMEN), admission(DANZIG))

    def run_job(self) -> None:
        """Register rows, propose a job, accept, close a round, measure, evaluate, finish: twelve entries in all."""
        self.admit_both()
        self.write(BREMEN, CATCH)
        self.write(DANZIG, SMALL_CATCH)
        self.write(LUBECK, PROPOSAL)
        self.write(BREMEN, JobAccepted("herring"))
        self.write(DANZIG, JobAccepted("herring"))
        self.write(
            LUBECK,
            RoundClosed("herring", 0, DIGEST, ("bremen", "danzig")),
            ModelEvaluated("herring", 0, DIGEST, 0.25, 0.9, "accuracy", 360),
            ContributionMeasured("herring", "volume", {"bremen": 700, "danzig": 300}),
            FINISH,
        )

    def pay(self) -> int:
        """After the job: propose a payout that both approve; return its number."""
        payout = final_payout(self.keeper.standing, [entry.hash for entry in self.entries()])
        number = self.write(LUBECK, payout)[0].index
        self.write(BREMEN, PayoutApproved(number))
        self.write(DANZIG, PayoutApproved(number))
        return number


def found_town(store: LedgerStore) -> Town:
    """Write the charter into an empty store."""
    keeper = Keeper(LUBECK, FEDERATION, store)
    genesis = keeper.found(CHARTER, int(NOW_S * 1000))
    return Town(store, keeper, genesis, {"lubeck": 1})


CATCH = DatasetRegistered("catch", 700, ("length", "weight"), "fresh", DIGEST)
SMALL_CATCH = replace(CATCH, rows=300)
NEXT_CATCH = replace(CATCH, dataset="next")


def chain(count: int) -> list[ChainedEntry]:
    """Return entries that continue one another; the store looks no deeper."""
    entries, head = [], EMPTY
    for number in range(count):
        signed = sign_entry(LUBECK, federation=FEDERATION, author_seq=number, body=CHARTER, time_ms=0)
        entries.append(link(LUBECK, FEDERATION, head, signed))
        head = entries[-1].head
    return entries


CHAIN = chain(8)
