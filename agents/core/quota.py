"""How much do we help others to predict? A number of rows a day for each model, kept count of at consent.

Whoever asks for predictions again and again learns the model, and with a single host that host's scores. So a party
says how many rows it serves (`[policy] served_rows`), and counts those that a job may ask for, not those it does.
"""

from hansa.agents.config import PolicySection
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row
from hansa.agents.core.messages import JobSpec
from hansa.agents.core.policy import read_settings
from hansa.protocols import protocol
from hansa.protocols.inference.job import HOST

DAY_S = 86_400


class Quota:
    """The rows served today, by model; of earlier days nothing is kept once there is something of today."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._served = {key.decode(): unpack_row(value) for key, value in journal.load("served").items()}

    def objection(self, spec: JobSpec, coordinator: str, policy: PolicySection) -> str | None:
        """Return why a job asks for too much, or None; then what it may ask for is taken off."""
        known = protocol(spec.protocol)
        settings = read_settings(known, spec)
        begins = known.start(settings)
        if begins is None or begins.of != "result" or known.role_of(settings, self._desk.name) != HOST:
            return None  # no predictions, or none of ours: whoever adds up shares gives nothing away
        if settings.output == "score" and len(spec.parties) == 1 and not policy.own_scores:
            return (
                f"we are the only host, so that scores would tell {coordinator} our part of each: "
                "our policy allows labels and deciles"
            )
        today = int(self._desk.clock() // DAY_S)
        day, rows = self._served.get(begins.job, [today, 0])
        rows = settings.most_rows + (rows if day == today else 0)
        if rows > policy.served_rows:
            return (
                f"our policy serves {policy.served_rows} rows a day of {begins.job}; "
                f"with this job it would be {rows}"
            )
        self._forget_before(today)
        self._served[begins.job] = [today, rows]
        self._desk.changes.put("served", begins.job.encode(), pack_row(today, rows))
        return None

    def _forget_before(self, today: int) -> None:
        for model in [model for model, (day, _) in self._served.items() if day != today]:
            del self._served[model]
            self._desk.changes.drop("served", model.encode())
