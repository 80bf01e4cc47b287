"""What does pika do with nothing of hansa's around it? In a process of its own: `python -m benchmarks.bare_pika`.

One SelectConnection that publishes or consumes, as hansa's do: persistent and mandatory messages, confirms tracked
by sequence, at most a window of them open; a prefetch, acknowledgements for several messages at once.

Told: {"port", "vhost", "user", "password", "exchange", "key", "queue"} and either {"publish": messages, "bytes": of
each, "window"} or {"consume": messages, "prefetch", "every": so many to one acknowledgement}. Answers {"ready"},
begins when told anything more, then answers {"began", "ended"} by the system's monotonic clock.
"""

import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import pika
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic


@dataclass(slots=True)
class Publishing:
    """Publishes `left` messages, at most `window` of them unconfirmed."""

    channel: Channel
    exchange: str
    key: str
    body: bytes
    left: int
    window: int
    sequence: int = 0
    confirmed: int = 0
    began: float = 0.0

    def begin(self) -> None:
        self.began = time.monotonic()
        self.flush()

    def flush(self) -> None:
        """Publish what the window has room for."""
        while self.left and self.sequence - self.confirmed < self.window:
            self.sequence += 1
            self.left -= 1
            properties = pika.BasicProperties(  # type: ignore[no-untyped-call]  # pika has not annotated it
                delivery_mode=2, message_id=str(self.sequence)
            )
            self.channel.basic_publish(self.exchange, self.key, self.body, properties, mandatory=True)

    def on_confirm(self, frame: "Method[Basic.Ack | Basic.Nack]") -> None:
        """Count: the broker confirms in order here, one queue and nothing refused."""
        assert isinstance(frame.method, Basic.Ack), "the broker refused a message"
        self.confirmed = frame.method.delivery_tag if frame.method.multiple else self.confirmed + 1
        if not self.left and self.confirmed == self.sequence:
            finish(self.began)
        self.flush()


@dataclass(slots=True)
class Consuming:
    """Consumes `left` messages, acknowledging `every` so many."""

    channel: Channel
    left: int
    every: int
    began: float = 0.0

    def begin(self) -> None:
        self.began = time.monotonic()

    def on_message(self, _: Channel, method: Basic.Deliver, _properties: object, _body: bytes) -> None:
        self.left -= 1
        if not self.left or method.delivery_tag % self.every == 0:
            self.channel.basic_ack(method.delivery_tag, multiple=True)
        if not self.left:
            finish(self.began)


def finish(began: float) -> None:
    """Say how long it took; the connection stays until the parent has read it."""
    print(json.dumps({"began": began, "ended": time.monotonic()}), flush=True)


def start(told: dict[str, Any], channel: Channel) -> None:
    """Set the channel up, say so, and begin when told."""
    if "publish" in told:
        body = os.urandom(told["bytes"])
        publishing = Publishing(channel, told["exchange"], told["key"], body, told["publish"], told["window"])
        channel.confirm_delivery(publishing.on_confirm, callback=lambda _: wait(channel, publishing))
    else:
        consuming = Consuming(channel, told["consume"], told["every"])

        def consume(_: object) -> None:
            channel.basic_consume(
                told["queue"], consuming.on_message, callback=lambda _: wait(channel, consuming)
            )

        channel.basic_qos(prefetch_count=told["prefetch"], callback=consume)


def wait(channel: Channel, work: Publishing | Consuming) -> None:
    """Begin at the next line of standard input, end with it."""
    loop = channel.connection.ioloop

    def listen() -> None:
        for line in sys.stdin:
            if line:
                loop.add_callback_threadsafe(work.begin)
        loop.add_callback_threadsafe(channel.connection.close)

    threading.Thread(target=listen, daemon=True).start()
    print(json.dumps({"ready": True}), flush=True)


def main() -> None:
    """Connect and do as told."""
    told = json.loads(sys.stdin.readline())

    def opened(connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=lambda channel: start(told, channel))

    parameters = pika.ConnectionParameters(
        host="127.0.0.1",
        port=told["port"],
        virtual_host=told["vhost"],
        credentials=pika.PlainCredentials(told["user"], told["password"]),
    )
    connection = pika.SelectConnection(
        parameters,
        on_open_callback=opened,
        on_close_callback=lambda closed, _reason: closed.ioloop.stop(),
    )
    connection.ioloop.start()


if __name__ == "__main__":
    main()
