"""What can go wrong inside a protocol.

::

    Exception
    ├── ProtocolError             a rule was broken; the caller keeps the old state
    │   ├── LocalProtocolError    our own caller acted out of turn: a bug here
    │   └── PeerError             a peer sent what its role forbids: reject and record
    │       └── Overstated        it claims more than it has registered: go on without it, too
    └── ValueError
        ├── UnknownProtocol       a job names a protocol that is not in the registry
        ├── ModelError            a job names a model, or a hyperparameter, that is not here
        ├── IdError               our own rows' ids can't be aligned: names the row, never the id
        └── DataRefused           our own data won't do, for a reason that is ours to read
            └── PreparationError  our own columns can't become features: names the column, never a value
"""


class ProtocolError(Exception):
    """A protocol rule was broken; the machine's state is unchanged."""


class LocalProtocolError(ProtocolError):
    """Our own caller acted out of turn: a bug on this side."""


class PeerError(ProtocolError):
    """A peer sent what its role forbids: reject the message and record it."""


class Overstated(PeerError):
    """A peer claims more than it has registered: reject the message, and go on without the peer (``PeerLeft``)."""


class UnknownProtocol(ValueError):
    """No protocol of that name is registered."""


class ModelError(ValueError):
    """No model of that name, or not with these hyperparameters."""


class IdError(ValueError):
    """An id of our own rows is empty, doubled or no text; the message names the rows, never the id."""


class DataRefused(ValueError):
    """Our own data won't do: the others hear that it is so and of which kind, our own log says what and where."""


class PreparationError(DataRefused):
    """A column of our own rows can't become features; the message names the column, never a value."""
