"""Keepers write, members are cut off, others take over: whatever was final stays, and in the end all agree.

Five members; each puts its name to heads by the rules of a witness (`Person.sign`), which are few enough to stand
here in full. Any order of events may happen, and any message may be late.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hansa.broker.identity import Identity
from hansa.ledger import (
    Body,
    ChainedEntry,
    Charter,
    Checkpoint,
    Keeper,
    KeeperChanged,
    LedgerStore,
    NotFinal,
    Replica,
    SignedEntry,
    StaleEpoch,
    link,
    sign_entry,
)
from tests.ledger.places import Files
from tests.ledger.town import CATCH, FEDERATION, NOW_S, admission, signed_note

PEOPLE = tuple(Identity.generate(f"m{each}") for each in range(5))
FOUNDER = PEOPLE[0]
TIME_MS = int(NOW_S * 1000)


@dataclass
class Person:
    """A member: its copy, and the newest head that it put its name to."""

    identity: Identity
    store: LedgerStore
    replica: Replica
    newest: Checkpoint | None = None

    @property
    def keeps(self) -> bool:
        return self.replica.standing.keeper == self.identity.public

    def hear(self, entries: list[ChainedEntry]) -> None:
        """Take in what another sends; what is out of date is refused, and nothing else may be wrong with it."""
        try:
            self.replica.accept(entries)
        except StaleEpoch:
            pass

    def sign(self, head: Checkpoint) -> bool:
        """Put our name to a head, if it lies in our copy and continues what we have signed."""
        tree, before = self.store.tree(), self.newest
        if head.size > tree.size or tree.root(head.size) != head.root:
            return False
        if before is not None:
            if (head.epoch, head.keeper) != (before.epoch, before.keeper) and head.epoch <= before.epoch:
                return False
            since = [size for size, roster in self.replica.standing.rosters if roster.epoch > before.epoch]
            undone = head.epoch > before.epoch and any(size - 1 < before.size for size in since)
            if not undone and (head.size < before.size or tree.root(before.size) != before.root):
                return False
        self.newest = head
        return True


class World:
    """All members; the first one founds the ledger and admits the others."""

    def __init__(self, stores: list[LedgerStore]) -> None:
        keeper = Keeper(FOUNDER, FEDERATION, stores[0])
        keeper.found(Charter(FEDERATION, FOUNDER.public), TIME_MS)
        entries = [self.said(FOUNDER, number, admission(each)) for number, each in enumerate(PEOPLE[1:], 1)]
        keeper.append(entries, NOW_S)
        chain = list(stores[0].read())
        self.people = []
        for identity, store in zip(PEOPLE, stores, strict=True):
            replica = Replica(store, chain[0].hash, FEDERATION)
            replica.accept(chain)
            self.people.append(Person(identity, store, replica))
        self.final: list[Checkpoint] = []
        self.names = 0

    @staticmethod
    def said(author: Identity, number: int, body: Body) -> SignedEntry:
        return sign_entry(author, federation=FEDERATION, author_seq=number, body=body, time_ms=TIME_MS)

    def write(self, who: Person) -> None:
        """A keeper chains something of its own."""
        self.names += 1
        body = replace(CATCH, dataset=f"d{self.names}")
        number = who.replica.standing.next_author_seq(who.identity.name)
        keeper = Keeper.of(who.identity, FEDERATION, who.store, who.replica.verifier)
        keeper.append([self.said(who.identity, number, body)], NOW_S)
        who.replica.accept(list(who.store.read(who.replica.head.size)))

    def cosign(self, who: Person, others: list[Person]) -> None:
        """A keeper sends what others lack, asks for their names under its head, and keeps them if enough."""
        for each in others:
            each.hear(list(who.store.read()))
        head = who.replica.standing.head_checkpoint()
        names = [each.identity for each in others if each is not who and each.sign(head)]
        note = signed_note(head, who.identity, *names)
        try:
            who.replica.standing.roster.check_final(note)
        except NotFinal:
            return
        self.final.append(head)
        who.store.add_checkpoint(note)

    def take_over(self, who: Person, others: list[Person]) -> None:
        """A member asks others for what it lacks and for their names, and takes over if they are enough."""
        for each in others:
            who.hear(list(each.store.read()))
        for each in others:
            each.hear(list(who.store.read()))
        now = who.replica.standing
        epoch = 1 + max(each.newest.epoch if each.newest else 0 for each in [*others, who])
        epoch = max(epoch, now.epoch + 1)
        head = replace(now.head_checkpoint(), epoch=epoch, keeper=who.identity.name)
        names = [
            each.identity for each in {id(each): each for each in [who, *others]}.values() if each.sign(head)
        ]
        note = signed_note(head, who.identity, *names)
        try:
            now.roster.check_succession(note)
        except NotFinal:
            return
        entry = self.said(who.identity, now.next_author_seq(who.identity.name), KeeperChanged(note.encoded()))
        who.replica.accept([link(who.identity, FEDERATION, who.replica.head, entry, epoch)])
        self.final.append(head)

    def reunite(self) -> None:
        """Let everybody hear everybody, until nothing new is said."""
        for _ in range(2):
            for speaker in sorted(self.people, key=lambda each: -each.replica.standing.epoch):
                for each in self.people:
                    each.hear(list(speaker.store.read()))


@contextmanager
def world(files: Files) -> Iterator[World]:
    stores = [LedgerStore.open(files.blank().url) for _ in PEOPLE]
    try:
        yield World(stores)
    finally:
        for store in stores:
            store.close()


WHO = st.integers(0, len(PEOPLE) - 1)
SOME = st.lists(WHO, unique=True, min_size=2, max_size=len(PEOPLE))
EVENTS = st.lists(
    st.tuples(st.sampled_from(["write", "tell", "cosign", "take over"]), WHO, SOME), min_size=4, max_size=16
)


TWO_AT_ONCE = [
    ("write", 0, []),
    ("take over", 1, [0, 1, 2, 3]),
    ("write", 0, []),  # by whom they have succeeded, unheard
    ("take over", 0, [0, 2, 3, 4]),
]


@example(events=TWO_AT_ONCE)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS)
def test_what_is_final_outlives_every_change_of_keepers(
    files: Files, events: list[tuple[str, int, list[int]]]
) -> None:
    with world(files) as there:
        for what, number, numbers in events:
            who, others = there.people[number], [there.people[each] for each in numbers]
            keepers = [each for each in there.people if each.keeps]  # as they believe
            match what:
                case "write":
                    there.write(keepers[number % len(keepers)])
                case "tell":
                    for each in others:
                        each.hear(list(who.store.read()))
                case "cosign":
                    there.cosign(keepers[number % len(keepers)], others)
                case _:
                    there.take_over(who, others)
        there.reunite()
        heads = {each.replica.head for each in there.people}
        assert len(heads) == 1
        for each in there.people:
            tree = each.store.tree()
            for final in there.final:
                assert tree.root(final.size) == final.root
            assert not list(each.store.evidence())
            assert each.replica.final is None or each.replica.final in there.final
