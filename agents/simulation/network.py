"""How do frames travel in a simulated run? Late, in any order, twice, or not at all, and the sender is told so."""

import heapq
from collections.abc import Iterable

from hansa.agents.simulation.weather import Weather
from hansa.broker.transport import Delivery, Outcome

SLOW = 10  # times as long travel the messages of a slow agent


class Network:
    """Carries frames in virtual time; keeps what was delivered but not acknowledged."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.queues: dict[str, list[_Item]] = {}
        self._reports: list[tuple[float, int, Wire, Outcome]] = []

    def send(self, sender: "Wire", key: str, body: bytes, tag: int) -> None:
        """Have a frame travel, once or twice, or get lost; events reach nobody."""
        weather, harm = self.weather, self.weather.harm
        _, recipient, traffic = key.split(".")
        if traffic == "event":
            return
        if weather.random.random() < harm.lose:
            weather.note(f"lost {key}")
            self.report(sender, Outcome(tag, "lost"), weather.delay_s())
            return
        copies = 2 if weather.random.random() < harm.duplicate else 1
        for copy in range(copies):
            number = weather.count()
            arrives = weather.now + weather.delay_s(SLOW if sender.name in harm.slow else 1)
            delivery = Delivery(number, key, body, traffic, redelivered=copy > 0)  # type: ignore[arg-type]
            heapq.heappush(self.queues.setdefault(recipient, []), (arrives, number, delivery, sender, tag))

    def report(self, publisher: "Wire", outcome: Outcome, after_s: float) -> None:
        """Tell a publisher what became of a message; if its process has gone since, nobody hears it."""
        due = self.weather.now + after_s
        heapq.heappush(self._reports, (due, self.weather.count(), publisher, outcome))

    def tell_reports(self) -> None:
        """Hand over the reports that are due."""
        while self._reports and self._reports[0][0] <= self.weather.now:
            _, _, publisher, outcome = heapq.heappop(self._reports)
            publisher.inform(outcome)

    def next_report(self) -> float | None:
        """When the next report is due, or None."""
        return self._reports[0][0] if self._reports else None

    def next_arrival(self, name: str) -> float | None:
        """When an agent's next frame arrives, or None."""
        queue = self.queues.get(name)
        return queue[0][0] if queue else None


class Wire:
    """One agent's connection, from one start to the next kill."""

    def __init__(self, network: Network, name: str) -> None:
        self.name = name
        self._network = network
        self._weather = network.weather
        self._held: dict[int, _Item] = {}
        self._outcomes: list[Outcome] = []

    def publish(self, routing_key: str, body: bytes, tag: int) -> None:
        if not routing_key.endswith(".event"):
            self._weather.may_crash(self.name, "publish")
        self._network.send(self, routing_key, body, tag)

    @property
    def online(self) -> bool:
        return True

    def room(self) -> int:
        return 256

    def deliveries(self, limit: int) -> list[Delivery]:
        queue = self._network.queues.get(self.name, [])
        taken: list[Delivery] = []
        while queue and len(taken) < limit and queue[0][0] <= self._weather.now:
            item = heapq.heappop(queue)
            self._held[item[1]] = item
            taken.append(item[2])
        return taken

    def acknowledge(self, tags: Iterable[int]) -> None:
        for tag in tags:
            self._weather.may_crash(self.name, "acknowledge")
            _, _, _, sender, sent_tag = self._held.pop(tag)
            self._network.report(sender, Outcome(sent_tag, "confirmed"), 0.0)

    def reject(self, tags: Iterable[int]) -> None:
        for tag in tags:
            _, _, delivery, sender, sent_tag = self._held.pop(tag)
            self._weather.note(f"{self.name} rejected {delivery.routing_key}")
            self._network.report(sender, Outcome(sent_tag, "confirmed"), 0.0)

    def outcomes(self) -> list[Outcome]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def wait(self, timeout_s: float) -> bool:
        return True

    def wake(self) -> None:
        return None

    def subscribe(self, pattern: str) -> None:
        return None

    def close(self) -> None:
        """Everything delivered but not acknowledged goes back to the queue, in no particular order."""
        queue = self._network.queues.setdefault(self.name, [])
        for _, number, delivery, sender, tag in self._held.values():
            again = Delivery(number, delivery.routing_key, delivery.body, delivery.traffic, redelivered=True)
            arrives = self._weather.now + self._weather.delay_s()
            heapq.heappush(queue, (arrives, number, again, sender, tag))
        self._held.clear()

    def inform(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)


_Item = tuple[
    float, int, Delivery, Wire, int
]  # when it arrives, its number, it, whose it is, under which tag
