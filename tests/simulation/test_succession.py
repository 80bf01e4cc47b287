"""Changes of keepers under harm: eleven seeds here, hundreds by `make soak` (HANSA_SEEDS).

Every assertion carries the seed.
"""

import os
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from hansa.agents.simulation import KEEPER, PARTIES, Harm
from hansa.agents.simulation.succession import Succession, succeed
from hansa.ledger import DatasetRegistered, Verifier, decode_body, read_entry
from hansa.ledger.checkpoints import Checkpoint, read_checkpoint
from hansa.ledger.merkle import Frontier, leaf_hash
from tests.simulation.seeds import shared_out

SEEDS = int(os.environ.get("HANSA_SEEDS", "500")) // 45
NEEDED = 2  # of three witnesses


def history(run: Succession) -> list[bytes]:
    """Return the root at every size of the ledger that all have, after verifying it."""
    copies = list(run.entries.values())
    assert all(copy == copies[0] for copy in copies), f"seed {run.seed}: the copies differ"
    verifier, frontier, roots = Verifier(copies[0][0].hash), Frontier(), [Frontier().root]
    for entry in copies[0]:
        verifier.accept(entry)
        frontier, _ = frontier.append(leaf_hash(entry.hash))
        roots.append(frontier.root)
    assert verifier.standing.epoch > 0
    return roots


def check(run: Succession) -> None:
    context = f"seed {run.seed}, {run.fate}, killed {run.crashes}"
    roots = history(run)
    for head in run.final:
        assert roots[head.size] == head.root, f"{context}: {head} was final"
    check_said_once(run, context)
    check_names(run, roots, context)


def check_said_once(run: Succession, context: str) -> None:
    """What was signed is on the chain once; what nobody but a keeper knew that never came back, at most once."""
    fields = [read_entry(each.signed) for each in next(iter(run.entries.values()))]
    numbers = Counter((each.author, each.author_seq) for each in fields)
    assert set(numbers.values()) == {1}, context
    bodies = (decode_body(each.kind, each.schema, each.body) for each in fields)
    said = Counter(body.dataset for body in bodies if isinstance(body, DatasetRegistered))
    for author, names in run.signed.items():
        for name in names:
            assert said[name] == 1 or (said[name] == 0 and author not in run.entries), f"{context}: {name}"
    assert said.keys() <= set().union(*run.signed.values()), context


def check_names(run: Succession, roots: list[bytes], context: str) -> None:
    """No name contradicts another: a head is continued, or it never had enough names and its epoch is over."""
    names: dict[Checkpoint, set[str]] = defaultdict(set)
    for name, texts in run.pledged.items():
        given = [read_checkpoint(text) for text in texts]
        for head in given:
            names[head].add(name)
        for before, after in pairwise(given):
            assert before.epoch <= after.epoch, f"{context}: {name} goes back"
            if before.epoch == after.epoch:
                assert before.keeper == after.keeper, f"{context}: {name} serves two keepers"
                assert before.size <= after.size, f"{context}: {name} goes back"
            if before.size > after.size or roots[before.size] != before.root:
                assert before.epoch < after.epoch, f"{context}: {name} contradicts itself"
    for head, bearers in names.items():
        if len(bearers - {KEEPER} if head.epoch == 0 else bearers) >= NEEDED:
            assert roots[head.size] == head.root, f"{context}: {head} has enough names"


@pytest.mark.parametrize("seed", shared_out(range(SEEDS), 8))
def test_a_change_of_keepers_loses_nothing_final_and_doubles_nothing(seed: int) -> None:
    check(succeed(Harm(seed=seed)))


def test_the_same_seed_gives_the_same_change() -> None:
    one, two = succeed(Harm(seed=3)), succeed(Harm(seed=3))
    assert one.trace == two.trace
    assert one.entries.keys() <= {KEEPER, *PARTIES}
