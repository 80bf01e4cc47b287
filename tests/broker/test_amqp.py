"""The AMQP transport over a real RabbitMQ: the conformance suite."""

from collections.abc import Callable, Iterator

import pytest

from tests.broker.conformance import CHECKS, Exchange
from tests.broker.town import Town


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town.somewhere()
    yield town
    town.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(town: Exchange, check: Callable[[Exchange], None]) -> None:
    check(town)
