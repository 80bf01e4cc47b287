"""What has it cost the parties to take part in a job? What they agreed for each row trained on."""

from collections.abc import Mapping
from fractions import Fraction

from hansa.ledger.states import Job
from hansa.ledger.terms import terms


def costs_of(job: Job, currency: str) -> Mapping[str, Fraction]:
    """Return the costs agreed for a job, by party, in minor units of its currency; exact.

    Empty if no costs were agreed, or in another currency.

    Raises:
        ValueError: what the job's settings say of money can't be read.
    """
    agreed = terms(job.settings)
    if agreed is None or agreed.cost_micros is None or agreed.currency != currency:
        return {}
    row = agreed.cost_of(1)
    return {party: row * rows_trained(job, party) for party in job.shares}


def rows_trained(job: Job, party: str) -> Fraction:
    """Return how many rows of a measured party a job was trained on, as far as the ledger tells.

    Where coalitions were valued it says so itself. Else the weight is rows, or rows × columns in a job that names
    no model, and is taken through the columns registered.
    """
    if job.appraisal is not None:
        return Fraction(job.appraisal.rows.get(party, 0))
    columns = job.volumes[party].columns if party in job.volumes and not job.model else 1
    return Fraction(job.shares[party], max(columns, 1))
