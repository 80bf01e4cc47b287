"""Everything that passes a federation's exchange, as whoever runs the broker can see it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests import servers

Hear = Callable[[BlockingChannel, str, bytes], None]  # channel, routing key, body

IDLE_S = 0.05


@contextmanager
def tapped(vhost: str, port: int, hear: Hear) -> Iterator[None]:
    """Call `hear` for every message while the block lasts, and once more for those then under way.

    An administrator's queue is bound to the exchange with ``#``; the federation's own agents notice nothing.
    """
    login = pika.PlainCredentials(servers.ADMINISTRATOR, servers.ADMINISTRATOR)
    connection = pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", port, vhost, credentials=login)
    )
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, vhost, "#")
    stop = threading.Event()

    def listen() -> None:
        for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=IDLE_S):
            if method is not None and body is not None:
                hear(channel, method.routing_key, body)
            elif stop.is_set():
                return

    thread = threading.Thread(target=listen, name="tap", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        connection.close()
