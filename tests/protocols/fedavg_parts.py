"""Small pieces from which the tests of both roles build states and events."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from hansa.protocols.horizontal.fedavg import AGGREGATOR, PARTY, FedAvgSettings, Seat, Update
from hansa.protocols.horizontal.tasks import GlobalModel
from hansa.protocols.machine import Brief, Effect
from hansa.protocols.model import Evaluation

EffectT = TypeVar("EffectT", bound=Effect)

PARTIES = ("ann", "bob", "cat")
SETTINGS = FedAvgSettings(rounds=3, quorum=2, round_deadline_s=60, silence_s=90)


def brief(role: str, me: str, settings: FedAvgSettings = SETTINGS) -> Brief:
    return Brief("job", me, role, "hub", PARTIES, settings, seed=7)


def hub_seat(settings: FedAvgSettings = SETTINGS) -> Seat:
    return Seat.take(brief(AGGREGATOR, "hub", settings), AGGREGATOR)


def party_seat() -> Seat:
    return Seat.take(brief(PARTY, "ann"), PARTY)


def model(value: float = 0.0) -> GlobalModel:
    return GlobalModel.of([np.full((2, 2), float(value)), np.full(2, float(value))])


def evaluation(loss: float = 1.0) -> Evaluation:
    return Evaluation(10, loss, 0.5, "accuracy")


def update(number: int, value: float = 1.0, rows: int = 10, loss: float = 1.0) -> Update:
    return Update(number, model(value).parameters, rows, evaluation(loss))


def only(effects: tuple[Effect, ...], kind: type[EffectT]) -> list[EffectT]:
    """Return the effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def with_settings(**changes: float) -> FedAvgSettings:
    return replace(SETTINGS, **changes)  # type: ignore[arg-type]
