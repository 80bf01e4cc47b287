"""Which routing key does a message travel under, and who hears it?

Keys are ``<sender>.<recipient>.<traffic>``: a broker can check from the key alone that nobody publishes in
another's name. ``control`` and ``data`` are mail between members, ``event`` is for everybody, and ``join`` is
what those say who are nobody's member yet. Patterns follow AMQP's topic exchange: words parted by dots, ``*``
for exactly one word, ``#`` for any number of words, none included (``a.#`` hears ``a``).
"""

from functools import lru_cache
from typing import Literal, TypeAlias, get_args

from hansa.broker.identity import EVERYBODY, check_name

Traffic: TypeAlias = Literal["control", "data", "event", "join"]
TRAFFICS: tuple[Traffic, ...] = get_args(Traffic)

MAX_KEY_BYTES = 255  # AMQP's short string


def routing_key(sender: str, recipient: str, traffic: Traffic) -> str:
    """Return the key; events go to everybody, all else to one agent.

    Raises:
        BadName: a name that is none.
        ValueError: an event to one agent, or something else to everybody.
    """
    if (recipient == EVERYBODY) != (traffic == "event"):
        raise ValueError(f"{traffic} traffic to {recipient!r}: events, and only events, go to {EVERYBODY!r}")
    if recipient != EVERYBODY:
        check_name(recipient)
    return f"{check_name(sender)}.{recipient}.{traffic}"


def parse_key(key: str) -> tuple[str, str, Traffic]:
    """Split a key into sender, recipient and traffic.

    Raises:
        ValueError: not a key that `routing_key` makes.
    """
    match key.split("."):
        case [sender, recipient, ("control" | "data" | "event" | "join") as traffic]:
            routing_key(sender, recipient, traffic)  # checks all three
            return sender, recipient, traffic
    raise ValueError(f"routing keys are <sender>.<recipient>.<{'|'.join(TRAFFICS)}>, not {key!r:.100}")


def check_pattern(pattern: str) -> str:
    """Return a binding pattern unchanged.

    Raises:
        ValueError: an empty word, a wildcard inside a word, or over `MAX_KEY_BYTES`.
    """
    if len(pattern.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"patterns have at most {MAX_KEY_BYTES} bytes, not {len(pattern.encode())}")
    for word in pattern.split("."):
        if not word:
            raise ValueError(f"{pattern!r} has an empty word")
        if len(word) > 1 and ("*" in word or "#" in word):
            raise ValueError(f"{word!r} in {pattern!r}: a wildcard stands for whole words")
    return pattern


@lru_cache(maxsize=4_096)
def matches(pattern: str, key: str) -> bool:
    """Say whether a key fits a pattern."""
    words = key.split(".") if key else []
    # reachable[i]: the pattern read so far can use up exactly the first i words. Linear in
    # pattern × key whatever the number of `#`, where plain backtracking is exponential.
    reachable = [True] + [False] * len(words)
    for part in pattern.split("."):
        if part == "#":
            first = reachable.index(True) if True in reachable else len(reachable)
            reachable = [position >= first for position in range(len(reachable))]
        else:
            fits = [part in ("*", word) for word in words]
            reachable = [False] + [before and fit for before, fit in zip(reachable, fits, strict=False)]
    return reachable[-1]
