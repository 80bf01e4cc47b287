"""The federation that contributions are measured in is what it says, and estimates are held against the exact."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks import contribution
from benchmarks.contribution import Played, play, spearman
from benchmarks.contribution_plot import Point, draw
from benchmarks.contribution_split import kind, names, split, train
from benchmarks.report import Row, Section
from hansa.ledger.contribution import WHOLE_JOB, Game, Guided, Permutation, Question

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def played() -> Played:
    return play("breast cancer", 6, 0)


def test_there_are_six_kinds_and_more_of_the_first_ones() -> None:
    assert names(6) == ("much-1", "little-1", "noisy-1", "copy-1", "rider-1", "poisoner-1")
    assert names(10)[6:] == ("much-2", "little-2", "much-3", "little-3")
    assert [kind(name) for name in names(4)] == ["much", "little", "noisy", "copy"]


def test_each_kind_is_what_it_is_called() -> None:
    federation = split("digits", 6, 1)
    rows = {name: len(X) for name, (X, _) in federation.parties.items()}
    assert rows["much-1"] == rows["copy-1"] > 3 * rows["little-1"]
    assert federation.parties["copy-1"] is federation.parties["much-1"]
    first, second = train(federation, rounds=2)
    rider = first.parties.index("rider-1")
    assert all(map(np.array_equal, first.updates[rider], first.base))
    assert not any(map(np.array_equal, second.base, first.base))


def test_the_poisoner_spoils_and_owners_of_the_same_rows_get_the_same(played: Played) -> None:
    shares = played.exact.shares
    assert min(shares, key=shares.__getitem__) == "poisoner-1"
    assert shares["poisoner-1"] < 0
    valuer = played.valuer
    everybody = Question(WHOLE_JOB, frozenset(valuer.players[1]))
    last = Game.of(len(valuer.rounds), valuer.players[1]).grand
    assert valuer([everybody])[everybody] == played.exact.values[last]


def test_more_orders_come_closer(played: Played) -> None:
    found = contribution.compare(played, Permutation(400))
    assert found.evaluations == 1  # of so few coalitions every one
    assert found.error < 0.1
    assert found.rank > 0.9
    some = contribution.compare(played, Guided(1))
    assert some.evaluations < 1
    assert contribution.by_volume(played).evaluations == 0


def test_ranks_that_agree_correlate_and_ties_share_theirs() -> None:
    assert spearman([1, 2, 3], [10, 20, 90]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 3], [1, 1, 5]) == pytest.approx(1)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0


def test_the_bar_is_for_gtg_and_the_best_among_ten(played: Played) -> None:
    def bars(rows: Sequence[Row]) -> list[str]:
        return [row.name for row in rows if row.met is not None]

    assert bars(list(contribution.table("breast cancer", 6, [played]))) == []
    rows = list(contribution.table("breast cancer", 10, [played]))
    assert bars(rows) == [
        "breast cancer, 10 parties: gtg, 6 cycles",
        f"breast cancer, 10 parties: {contribution.IN_CIRCLES}",
        "breast cancer, 10 parties: stratified, 2 cycles",
    ]
    assert not any(row.met for row in rows)  # of these six parties they ask for most coalitions


def test_a_quick_run_measures_all_and_draws(monkeypatch: pytest.MonkeyPatch, played: Played) -> None:
    monkeypatch.setattr(contribution, "SETS", ["breast cancer"])
    monkeypatch.setattr(contribution, "PARTIES_QUICK", (4,))
    monkeypatch.setattr(contribution, "GROWTH_QUICK", (3, 4))
    monkeypatch.setattr(contribution, "in_parallel", lambda one: Row("in parallel", "1 s"))
    section = contribution.run(quick=True)
    assert isinstance(section, Section)
    [figure] = section.figures
    assert figure.png.startswith(PNG)
    assert any("grows by" in row.measured for row in section.rows)
    panel = {name: [Point(0.1, 0.2), Point(0.2, 0.1)] for name in contribution.CURVES}
    assert draw({"one": panel, "other": panel}, 0.05, 0.25).png.startswith(PNG)
