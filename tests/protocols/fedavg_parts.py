"""Small pieces from which the tests of both roles build states and events."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from hansa.protocols.horizontal.fedavg import AGGREGATOR, PARTY, FedAvgSettings, Seat, TrainingDone, Update
from hansa.protocols.horizontal.tasks import GlobalModel
from hansa.protocols.machine import Brief, Effect, Valuation
from hansa.protocols.model import Evaluation

EffectT = TypeVar("EffectT", bound=Effect)

PARTIES = ("ann", "bob", "cat")
SETTINGS = FedAvgSettings(rounds=3, quorum=2, round_deadline_s=60, silence_s=90)


def brief(role: str, me: str, settings: FedAvgSettings = SETTINGS) -> Brief:
    return Brief("job", me, role, "hub", PARTIES, settings, seed=7)


def hub_seat(settings: FedAvgSettings = SETTINGS) -> Seat:
    return Seat.take(brief(AGGREGATOR, "hub", settings), AGGREGATOR)


def valued_seat(registered: int = 10) -> Seat:
    """Return the seat of an aggregator who has coalitions valued, of parties with so many rows."""
    volumes = {party: (registered, 2) for party in PARTIES}
    return Seat.take(replace(brief(AGGREGATOR, "hub"), valued=True, volumes=volumes), AGGREGATOR)


def party_seat() -> Seat:
    return Seat.take(brief(PARTY, "ann"), PARTY)


def model(value: float = 0.0) -> GlobalModel:
    return GlobalModel.of([np.full((2, 2), float(value)), np.full(2, float(value))])


def evaluation(loss: float = 1.0) -> Evaluation:
    return Evaluation(10, loss, 0.5, "accuracy")


def update(number: int, value: float = 1.0, rows: int = 10, loss: float = 1.0) -> Update:
    return Update(number, model(value).parameters, rows, evaluation(loss))


def training_done() -> TrainingDone:
    return TrainingDone(model().parameters, model().digest, 3, evaluation(), dict.fromkeys(PARTIES, 10))


def valuation(number: int, **shares: str) -> Valuation:
    """Return what three equal parties have made of a round, unless the shares are said."""
    given = shares or dict.fromkeys(PARTIES, "1/3")
    return Valuation(number, PARTIES, (10, 10, 10), (0, 7), (0.25, 0.5), given)


def only(effects: tuple[Effect, ...], kind: type[EffectT]) -> list[EffectT]:
    """Return the effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def with_settings(**changes: float) -> FedAvgSettings:
    return replace(SETTINGS, **changes)  # type: ignore[arg-type]
