"""Will a party's rows do for a vertical job? What its own checks would say, with the column's name.

Between organisations a refusal stays in the party's own log. Here all rows are the caller's.
"""

import re
from collections.abc import Mapping

from hansa.agents.data.benches import aligned_bench
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import DataError, JobError
from hansa.protocols import Array, Brief
from hansa.protocols.vertical import LinearSettings, LogisticSettings, guard
from hansa.protocols.vertical.errors import LeakRefused, RowsRefused
from hansa.protocols.vertical.job import GUEST, HOST, SECRET_BYTES, Seat
from hansa.protocols.vertical.rows import checked_held_out, checked_rows, first_coefficients

_FEATURE = re.compile(r"column (\d+)|above all (\d+)|feature \[\d+, (\d+)\]")


def check_rows(
    datasets: Mapping[str, Dataset],
    orders: Mapping[str, Array],
    settings: LinearSettings | LogisticSettings,
    classes: tuple[str, ...],
    arbiter: str,
    seed: int,
) -> None:
    """Refuse rows that a party would refuse once the job is under way.

    Args:
        datasets: by party.
        orders: by party, (common,) the rows that all have in common, in the agreed order.
        settings: of the job.
        classes: of a logistic job.
        arbiter: who leads it.
        seed: of the job.

    Raises:
        DataError: a column can't be prepared, a value is beyond its limit, or the leak guard refuses a column or
            the guest's scores; names the party and the column.
        JobError: the leak guard refuses so few rows, or one party's columns beside the others'.
    """
    parties = tuple(sorted(datasets))
    gradients, widest = {}, 0
    for party, dataset in datasets.items():
        role = GUEST if party == settings.guest else HOST
        bench = aligned_bench(dataset, orders[party], settings.holdout, role == GUEST, classes)
        brief = Brief("foresight", party, role, arbiter, parties, settings, seed, secret=bytes(SECRET_BYTES))
        seat = Seat.take(brief, role)
        try:
            rows = checked_rows(seat, bench)
            checked_held_out(seat, bench)
            first_coefficients(seat, rows, brief.secret)
        except (RowsRefused, LeakRefused) as error:
            raise DataError(_about(dataset, str(error), bench.preparation().names())) from None
        features = bench.training()[0].shape[1]
        gradients[party], widest = seat.gradients(party, features), max(widest, features)
    if settings.guard:
        plan = seat.plan(len(bench.training()[0]))
        try:
            guard.check_batches(plan, widest)
            guard.check_balance(plan, gradients, settings.score_bits)
        except LeakRefused as error:
            raise JobError(f"the leak guard refuses it: {error}") from None


def _about(dataset: Dataset, text: str, names: tuple[str, ...]) -> str:
    found = _FEATURE.search(text)
    if found is None:
        return f"{dataset.source}: {text}"
    return f"{dataset.source}, column {names[int(found[found.lastindex or 1])]!r}: {text}"
