"""Does a federation survive anything, anywhere? A whole one in virtual time, harmed from a seed.

Real agents, real envelopes, real ledger stores; the network, the clock, the executor and the disks are ours.
Messages are delayed, overtake each other, arrive twice or are lost on the way (the sender's transport then
reports them lost); agents are killed before and after every journal commit, ledger append, flush, publication
and acknowledgement, lose what was not durable, and come back later; some come back as an older self, from a
backup. The same seed gives the same run:

    python -m hansa.agents.simulation --seed 17
"""

from hansa.agents.simulation.harm import CALM, Harm
from hansa.agents.simulation.jobs import (
    GUEST,
    JOB,
    KEEPER,
    PARTIES,
    alignment,
    customers,
    specification,
    valued,
    vertical,
)
from hansa.agents.simulation.run import Run, simulate

__all__ = [
    "CALM",
    "GUEST",
    "JOB",
    "KEEPER",
    "PARTIES",
    "Harm",
    "Run",
    "alignment",
    "customers",
    "simulate",
    "specification",
    "valued",
    "vertical",
]
