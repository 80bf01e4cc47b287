"""Four parties, one digits data set split unevenly, two models: what does federating gain, and who earned what?

The split is Dirichlet(0.3) by class (Hsu et al. 2019), so that some parties hardly know some digits. Every
figure is taken on the union of the parties' held-out rows:

    V_FED   the federated model
    V_SUM   the same learner on the pooled training rows, as many passes, same seed
    local   the best of the parties training alone
    δ       |V_FED - V_SUM|, the accuracy loss of Yang et al. 2019, section 2.1
"""

import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from hansa.agents.cli.storyteller import shows
from hansa.agents.core.lending import training_bench
from hansa.agents.demo.digits import (
    DATASET,
    PARTIES,
    PLANS,
    Figures,
    Plan,
    compare,
    deal,
    minor_units,
    print_figures,
    print_members,
    print_shares,
    specification,
)
from hansa.agents.demo.folder import clear, found, print_farewell
from hansa.agents.local import AGGREGATOR, LocalFederation, Member
from hansa.ledger import verify_store
from hansa.protocols import Evaluation, ModelRegistry

FEDERATION = "digits-demo"


def run_demo(folder: Path, *, replace: bool, seed: int, pot: str, console: Console) -> list[Figures]:
    """Run both jobs, print what happens, and leave the homes in `folder`.

    Raises:
        AgentError: the folder is in use, the pot is no amount of money, or a job failed.
    """
    pot_minor = minor_units(pot)
    clear(folder, replace, [AGGREGATOR, *PARTIES])
    started = time.monotonic()
    members = [
        Member(
            name,
            organisation,
            config={"data": {DATASET: {"file": "digits.csv", "id": "id", "target": "digit"}}},
        )
        for name, organisation in PARTIES.items()
    ]
    console.print(
        "[bold]hansa demo horizontal[/]: one process, memory transport, SQLite ledger", highlight=False
    )
    with found(folder, members, FEDERATION, AGGREGATOR, "the digits demo") as local:
        counts = deal(folder, seed)
        local.register()
        print_members(console, local.coordinator.clerk.standing.members, counts)
        figures = [_run_plan(console, local, plan, seed) for plan in PLANS]
        rows = local.result(PLANS[-1].job).rows
        local.settle()
        agent = local.coordinator
        verified = verify_store(agent.clerk.store, fingerprint=bytes.fromhex(agent.config.federation.charter))
    print_figures(console, figures)
    print_shares(console, rows, pot_minor)
    console.print(
        f"\nledger verified: {verified.head.size} entries, head {verified.head.hash.hex()[:16]}   "
        f"({time.monotonic() - started:.0f} s in all)",
        highlight=False,
    )
    print_farewell(console, folder, "north")
    return figures


def _run_plan(console: Console, local: LocalFederation, plan: Plan, seed: int) -> Figures:
    spec = specification(plan, seed)
    console.print(f"\n[bold]{plan.title}[/], FedAvg, {plan.rounds} rounds", highlight=False)
    over = threading.Event()
    full = "█" if shows(console, "█") else "#"

    def progress(sender: str, kind: str, fields: dict[str, Any]) -> None:
        if sender != local.keeper or fields.get("job") != plan.job or over.is_set():
            return
        if kind == "model-evaluated":
            bar = full * round(30 * float(fields["score"]))
            console.print(
                f"  round {fields['round']:>2}/{plan.rounds}  loss {fields['loss']:.4f}  "
                f"accuracy {fields['score']:6.1%}  {bar}",
                highlight=False,
            )
        elif kind == "round-closed" and fields["missing"]:
            console.print(
                f"  round {fields['round']:>2}: without {', '.join(fields['missing'])}", style="yellow"
            )

    local.listen(progress)
    local.run(spec)
    over.set()
    federated: Evaluation = local.result(plan.job).evaluation
    registry = ModelRegistry()
    benches = {name: training_bench(spec, registry, local.agents[name].datasets) for name in sorted(PARTIES)}
    return compare(spec, plan, benches, federated.score)
