"""Flower's side of a FedAvg round over the network: a ServerApp and a ClientApp that do no training.

Packed into a Flower app by `benchmarks.flower_network` and run by Flower's own processes. Rounds are timed from one
call of the strategy's `evaluate_fn` to the next; when all are over, the figures are written, as one JSON object, to
the file that the run's configuration names.
"""

import json
import os
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict  # type: ignore[import-not-found]
from flwr.clientapp import ClientApp  # type: ignore[import-not-found]
from flwr.serverapp import Grid, ServerApp  # type: ignore[import-not-found]
from flwr.serverapp.strategy import FedAvg  # type: ignore[import-not-found]

STEP = np.float32(2**-10)  # what a client adds to every parameter

client = ClientApp()
server = ServerApp()


@client.train()  # type: ignore[untyped-decorator]
def train(message: Message, context: Context) -> Message:
    """Return what came, plus a constant."""
    (weights,) = message.content["arrays"].to_numpy_ndarrays()
    content = {"arrays": ArrayRecord([weights + STEP]), "metrics": MetricRecord({"num-examples": 1})}
    return Message(RecordDict(content), reply_to=message)


@server.main()  # type: ignore[untyped-decorator]
def serve(grid: Grid, context: Context) -> None:
    """Run the rounds and write what they took."""
    settings = context.run_config
    ends: list[float] = []
    answers: list[int] = []

    def count(replies: list[RecordDict], weighted_by: str) -> MetricRecord:
        answers.append(len(replies))
        return MetricRecord()

    def closed(_: int, arrays: ArrayRecord) -> None:
        ends.append(time.perf_counter())

    parties = int(settings["parties"])
    strategy = FedAvg(
        fraction_train=1.0,
        fraction_evaluate=0.0,
        min_train_nodes=parties,
        min_available_nodes=parties,
        train_metrics_aggr_fn=count,
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(int(settings["parameters"]), dtype=np.float32)]),
        num_rounds=int(settings["rounds"]),
        evaluate_fn=closed,
    )
    (final,) = result.arrays.to_numpy_ndarrays()
    figures = {
        "rounds_s": [later - earlier for earlier, later in pairwise(ends)],
        "answers": answers,
        "final": float(final.mean()),
        "step": float(STEP),
        "versions": {package: version(package) for package in ("flwr", "numpy")},
    }
    draft = Path(f"{settings['figures']}.new")
    draft.write_text(json.dumps(figures))
    os.replace(draft, settings["figures"])
