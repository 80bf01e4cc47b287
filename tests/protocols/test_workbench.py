"""Benches: a party's holds rows, the aggregator's does not."""

from functools import partial

import numpy as np
import pytest

from hansa.protocols import IdsWorkbench, LocalProtocolError, ModelShape, RowlessWorkbench, RowsWorkbench
from hansa.protocols.horizontal.softmax import SoftmaxRegression

make_model = partial(SoftmaxRegression, ModelShape(2, (0, 1)))


def test_a_party_bench_gives_its_rows_and_a_new_model_each_time() -> None:
    train, test = (np.ones((3, 2)), np.zeros(3)), (np.zeros((1, 2)), np.ones(1))
    bench = RowsWorkbench(make_model, train, test)
    assert bench.training() is train
    assert bench.holdout() is test
    assert bench.model() is not bench.model()


def test_rows_never_show_in_a_repr() -> None:
    secret = np.array([[12345.0, 0.0]])
    assert "12345" not in repr(RowsWorkbench(make_model, (secret, np.zeros(1)), (secret, np.zeros(1))))


def test_the_aggregators_bench_has_a_model_and_no_rows() -> None:
    bench = RowlessWorkbench(make_model)
    assert len(bench.model().get_parameters()) == 2
    with pytest.raises(LocalProtocolError, match="no rows to train on"):
        bench.training()
    with pytest.raises(LocalProtocolError, match="no rows to evaluate on"):
        bench.holdout()
    with pytest.raises(LocalProtocolError, match="holds no ids"):
        bench.ids()


def test_a_bench_for_training_lends_no_ids() -> None:
    rows = (np.ones((1, 2)), np.zeros(1))
    with pytest.raises(LocalProtocolError, match="holds no ids"):
        RowsWorkbench(make_model, rows, rows).ids()


def test_a_bench_of_ids_lends_them_with_the_first_rows_number_and_nothing_else() -> None:
    bench = IdsWorkbench(("ann", "bob"), 2)
    assert bench.ids() == (("ann", "bob"), 2)
    assert "ann" not in repr(bench)
    for ask, what in ((bench.model, "model"), (bench.training, "train on"), (bench.holdout, "evaluate on")):
        with pytest.raises(LocalProtocolError, match=what):
            ask()
