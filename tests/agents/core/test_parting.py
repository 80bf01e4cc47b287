"""A member that was shown another history follows a takeover by itself, and nothing of its own is lost."""

from pathlib import Path

import pytest

from tests.agents.core.parish import Parish


def forked(folder: Path, left: int, right: int) -> Parish:
    """Return a parish whose keeper has shown west one history and the others another, of so many entries."""
    parish = Parish.found(folder)
    parish.go(60)
    parish.split("west")
    for number in range(left):
        parish.write("north", f"left-{number}")
        parish.go(2)
    for number in range(right):
        parish.write("west", f"right-{number}")
        parish.go(2)
    return parish


@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 1), (1, 4), (2, 0), (0, 2)])
def test_who_was_shown_another_history_follows_who_takes_over(tmp_path: Path, left: int, right: int) -> None:
    parish = forked(tmp_path, left, right)
    parish.go(700)  # until the keeper has asked for names
    assert parish.up["west"].clerk.head != parish.up["north"].clerk.head
    parish.kill("hub", "other")
    parish.go(2_000)
    parish.offer("north")
    parish.go(200)
    assert parish.keepers() == {"north"}
    parish.write("east", "after")
    parish.go(200)
    assert parish.agree()
    assert parish.once()
    expected = {f"left-{n}" for n in range(left)} | {f"right-{n}" for n in range(right)} | {"after"}
    assert parish.datasets("west") == expected
    parish.go(700)
    heads = parish.up["north"].witness.heads
    assert heads.final is not None
    assert heads.final.checkpoint.size == parish.up["north"].clerk.head.size
    assert "west" in {each.member for each in heads.cosigned(heads.final.checkpoint)}
    parish.close()
