"""How does a machine's life read? Events and effects in one line each, records without their arrays."""

from dataclasses import fields, is_dataclass

from hansa.protocols.machine import (
    Abort,
    CancelTimer,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    Keep,
    PeerLeft,
    Received,
    Record,
    Send,
    SetTimer,
    TimerFired,
)


def trace_line(happened: Event | Effect) -> str:
    """Return an event (``<-``) or an effect (``->``) in one line."""
    match happened:
        case Received(sender, message):
            return f"<- {describe(message)} from {sender}"
        case Computed(task_id, result, error):
            return f"<- {task_id}: {describe(result) if error is None else error}"
        case TimerFired(name):
            return f"<- timer {name}"
        case PeerLeft(name, reason):
            return f"<- {name} left: {reason}"
        case Send(recipient, message):
            return f"-> {describe(message)} to {recipient}"
        case Compute(task_id):
            return f"-> compute {task_id}"
        case Record(fact):
            return f"-> record {describe(fact)}"
        case Keep(record):
            return f"-> keep {describe(record)}"
        case SetTimer(name, after_s):
            return f"-> timer {name} in {after_s:g} s"
        case CancelTimer(name):
            return f"-> no timer {name}"
        case Finish(result):
            return f"-> finish with {describe(result)}"
        case Abort(reason):
            return f"-> abort: {reason}"


def describe(record: object) -> str:
    """Name a record with its short fields; digests by their first bytes, arrays not at all."""
    if not is_dataclass(record):
        return type(record).__name__
    parts = []
    for each in fields(record):
        value = getattr(record, each.name)
        if isinstance(value, bytes):
            parts.append(f"{each.name}={value.hex()[:12]}")
        elif isinstance(value, int | float | str):
            parts.append(f"{each.name}={value:.6g}" if isinstance(value, float) else f"{each.name}={value}")
    return f"{type(record).__name__}({', '.join(parts)})"
