"""How long is one FedAvg round in Flower's in-process simulation?

Run by the interpreter of Flower's own virtual environment, never by hansa's (`benchmarks.flower_peer` makes
it and starts this file). Clients do no training: they return what they got plus a small constant. Rounds are
timed from one call of the strategy's `evaluate_fn` to the next, so that Flower's own loop runs untouched and
the first, which starts Ray's workers, can be left out. The last line printed is one JSON object.

Two interfaces:

- `message`: ServerApp, ClientApp and `flwr.serverapp.strategy.FedAvg`, the recommended ones. `run_simulation`
  starts them without a project folder; the `flwr run` command ends in the same engine.
- `legacy`: `start_simulation` with `flwr.server.strategy.FedAvg`, deprecated by Flower but still shipped.
"""

import argparse
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import flwr  # type: ignore[import-not-found]
import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict  # type: ignore[import-not-found]
from flwr.clientapp import ClientApp  # type: ignore[import-not-found]
from flwr.serverapp import Grid, ServerApp  # type: ignore[import-not-found]
from flwr.serverapp.strategy import FedAvg  # type: ignore[import-not-found]
from flwr.simulation import run_simulation, start_simulation  # type: ignore[import-not-found]

STEP = np.float32(2**-10)  # what a client adds to every parameter


class Rounds:
    """When each round ended, how many clients answered in it, and the parameters after the last one."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.answers: list[int] = []
        self.last: Any = None

    def closed(self, parameters: Any) -> None:
        """Note the time; called before the first round and after each."""
        self.ends.append(time.perf_counter())
        self.last = parameters

    def seconds(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.ends, self.ends[1:], strict=False)]


def message_rounds(arguments: argparse.Namespace) -> tuple[Rounds, np.ndarray]:
    """Run the recommended message interface; return its rounds and the final parameters."""
    rounds = Rounds()

    def train(message: Message, context: Context) -> Message:
        (weights,) = message.content["arrays"].to_numpy_ndarrays()
        content = {"arrays": ArrayRecord([weights + STEP]), "metrics": MetricRecord({"num-examples": 1})}
        return Message(RecordDict(content), reply_to=message)

    def count(replies: list[RecordDict], weighted_by: str) -> MetricRecord:
        rounds.answers.append(len(replies))
        return MetricRecord()

    def serve(grid: Grid, context: Context) -> None:
        if arguments.poll_s is not None:
            grid.pull_interval = arguments.poll_s
        strategy = FedAvg(
            fraction_train=1.0,
            fraction_evaluate=0.0,
            min_train_nodes=arguments.parties,
            min_available_nodes=arguments.parties,
            train_metrics_aggr_fn=count,
        )
        strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord([np.zeros(arguments.parameters, dtype=np.float32)]),
            num_rounds=arguments.rounds,
            evaluate_fn=lambda _, arrays: rounds.closed(arrays),
        )

    client, server = ClientApp(), ServerApp()
    client.train()(train)
    server.main()(serve)
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=arguments.parties,
        backend_config={"client_resources": {"num_cpus": arguments.client_cpus, "num_gpus": 0.0}},
    )
    return rounds, rounds.last.to_numpy_ndarrays()[0]


def legacy_rounds(arguments: argparse.Namespace) -> tuple[Rounds, np.ndarray]:
    """Run the deprecated interface, whose server waits on Ray's futures and polls nothing."""
    rounds = Rounds()

    class Client(flwr.client.NumPyClient):  # type: ignore[misc]
        def fit(
            self, parameters: list[np.ndarray], config: Any
        ) -> tuple[list[np.ndarray], int, dict[str, float]]:
            return [parameters[0] + STEP], 1, {}

    def count(metrics: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
        rounds.answers.append(len(metrics))
        return {}

    start = [np.zeros(arguments.parameters, dtype=np.float32)]
    start_simulation(
        client_fn=lambda context: Client().to_client(),
        num_clients=arguments.parties,
        client_resources={"num_cpus": arguments.client_cpus, "num_gpus": 0.0},
        config=flwr.server.ServerConfig(num_rounds=arguments.rounds),
        strategy=flwr.server.strategy.FedAvg(
            fraction_fit=1.0,
            fraction_evaluate=0.0,
            min_fit_clients=arguments.parties,
            min_available_clients=arguments.parties,
            initial_parameters=flwr.common.ndarrays_to_parameters(start),
            fit_metrics_aggregation_fn=count,
            evaluate_fn=lambda _, parameters, config: rounds.closed(parameters),
        ),
    )
    return rounds, rounds.last[0]


def main() -> None:
    """Time the rounds, check that they averaged every client's parameters, print JSON."""
    parser = argparse.ArgumentParser(description="Time FedAvg rounds in Flower's simulation.")
    parser.add_argument("--api", choices=("message", "legacy"), default="message")
    parser.add_argument("--client-cpus", type=float, default=1.0)
    parser.add_argument("--poll-s", type=float, help="the grid's pull interval; Flower's default is 0.1")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--parties", type=int, default=10)
    parser.add_argument("--parameters", type=int, default=1_000_000)
    arguments = parser.parse_args()
    rounds, final = (message_rounds if arguments.api == "message" else legacy_rounds)(arguments)
    if rounds.answers != [arguments.parties] * arguments.rounds:
        sys.exit(f"expected {arguments.rounds} rounds of {arguments.parties} answers, got {rounds.answers}")
    if not np.allclose(final, arguments.rounds * STEP, rtol=1e-5):
        sys.exit(f"expected every parameter at {arguments.rounds * STEP}, got {final.min()} to {final.max()}")
    versions = {package: version(package) for package in ("flwr", "ray", "numpy")}
    print(json.dumps({"rounds_s": rounds.seconds(), "versions": versions}), flush=True)


if __name__ == "__main__":
    main()
