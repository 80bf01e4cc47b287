"""Which part of the model do we hold, and can it answer this job?"""

from dataclasses import dataclass, field

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.inference.job import EDGES, Seat
from hansa.protocols.model import FloatArray
from hansa.protocols.preparation import Preparation
from hansa.protocols.vertical import OwnCoefficients


@dataclass(frozen=True, slots=True, eq=False)
class OwnPart:
    """Our part of the model, as far as it is needed.

    Attributes:
        theta: (columns,) of our prepared columns.
        intercept: the guest's; 0 at hosts.
        digest: of the whole model, equal at all who hold a part.
        logistic: whether there are two classes.
        deciles: at the guest, ascending; empty if no rows were held out.
    """

    theta: FloatArray = field(repr=False)
    intercept: float = field(repr=False)
    preparation: Preparation = field(repr=False)
    digest: bytes
    logistic: bool
    deciles: tuple[float, ...] = field(repr=False)


def own_part(seat: Seat, start: object) -> OwnPart:
    """Check that what the training has left here can answer this job.

    Raises:
        LocalProtocolError: no coefficients, a model of another guest or of other hosts, or one that has no such
            output.
    """
    settings, model = seat.settings, seat.settings.model
    if not isinstance(start, OwnCoefficients):
        raise LocalProtocolError(
            f"job {model} has left {seat.me} no coefficients: a model is served by those who trained it"
        )
    if start.guest != seat.guest:
        raise LocalProtocolError(f"the model of {model} answers its guest {start.guest}, not {seat.guest}")
    if sorted(start.hosts) != sorted(seat.hosts):
        needed, named = ", ".join(start.hosts), ", ".join(seat.hosts)
        raise LocalProtocolError(f"the model of {model} takes the hosts {needed}; the job names {named}")
    if settings.output == "label" and not start.logistic:
        raise LocalProtocolError(
            f'the model of {model} is linear and predicts numbers: ask for output = "score" or "decile"'
        )
    if settings.output == "decile" and seat.me == seat.guest and len(start.deciles) != EDGES:
        raise LocalProtocolError(
            f'the model of {model} has no deciles, since no rows were held out: ask for "score" or "label"'
        )
    return OwnPart(
        start.theta, start.intercept, start.preparation, start.digest, start.logistic, start.deciles
    )
