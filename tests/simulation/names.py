"""Whose names stand under which heads after a simulated run? None is ever contradicted by its bearer."""

from hansa.agents.simulation import KEEPER, Run
from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.merkle import Frontier, leaf_hash


def roots(run: Run) -> list[bytes]:
    """Return the root of the longest copy at every size."""
    frontier, found = Frontier(), [Frontier().root]
    for entry in max(run.entries.values(), key=len):
        frontier, _ = frontier.append(leaf_hash(entry.hash))
        found.append(frontier.root)
    return found


def check_names(run: Run) -> None:
    history, context = roots(run), f"seed {run.seed}, killed {run.crashes}"
    for name, texts in run.pledged.items():
        heads = [read_checkpoint(text) for text in texts]
        assert name != KEEPER or not heads, context
        assert all(history[head.size] == head.root for head in heads), (
            f"{context}: {name} names another history"
        )
        sizes = [head.size for head in heads]
        assert sizes == sorted(sizes), f"{context}: {name} goes back"
