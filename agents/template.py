"""What stands in a new agent.toml? Who the agent is, and examples of all that may be added, as comments."""

import tomlkit

EXAMPLES = """
# A line that begins with '#' is an example: remove the sign to make it count.
# `hansa agent reload` has a running agent read policy and data sets again.

[policy]
# Which jobs this organisation takes part in. "*" allows any; name some instead to allow only these.
coordinators = ["keeper"]  # who may propose them: "keeper" is whoever keeps the federation's ledger
protocols = ["*"]
models = ["*"]             # or, say, ["softmax", "mlp"]
datasets = ["*"]           # any that has a section below
minimum_parties = 2        # fewer, and a model could tell one party's rows to another
served_rows = 0            # of how many rows a day we help to predict, for each model that we are a host of
own_scores = false         # whether a model's guest may have scores where we are its only host: it learns our part
contributions = ["*"]      # how jobs may measure who added what: "volume", or by what coalitions' models are worth
own_parts = false          # whether the arbiter of a vertical job may see our part of scores, to value what it adds
keeper_silence_s = 1800    # so long unheard of, the ledger's keeper may be replaced without a word of ours
unguarded = false          # whether a job may switch off the leak guard, so that others may read single rows

# One section for each data set; its rows never leave this machine.
# [data.patients]
# file = "patients.csv"  # or .parquet; relative to this folder
# id = "id"              # the column that names a row; every other column but the target is a feature
# target = "outcome"
# holdout = 0.2          # share of the rows kept for evaluation
# categories = ["ward"]  # columns of text or codes; vertical jobs make a 0/1 feature of each category
# missing = "fill"       # empty cells get the training rows' mean, or most frequent; else they are refused
# standardise = true     # vertical jobs bring numbers to mean 0 and variance 1
# rare = 0.02            # categories of fewer rows than this share get no feature of their own
#
# [data.measurements]
# url = "postgresql+psycopg://reader@db.example.org/hospital"
# query = "SELECT id, age, pressure, outcome FROM measurements"
# password_file = "measurements.password"  # mode 0600
# target = "outcome"

# [ledger]
# url = "postgresql+psycopg://hansa@localhost/hansa"  # this agent's copy; without it, a file in this folder

# [daemon]
# listen = "127.0.0.1:9464"  # health and metrics; without it, any free port
"""


def new_config(name: str, organisation: str, roles: tuple[str, ...]) -> tomlkit.TOMLDocument:
    """Return the configuration of an agent that belongs to no federation yet; `hansa join` adds the rest.

    Args:
        name, organisation, roles: as under ``[agent]``; checked where the file is written.
    """
    agent = tomlkit.table()
    agent["name"] = name
    agent["organisation"] = organisation
    agent["roles"] = list(roles)
    document = tomlkit.document()
    document.add("agent", agent)
    return tomlkit.parse(tomlkit.dumps(document) + EXAMPLES)
