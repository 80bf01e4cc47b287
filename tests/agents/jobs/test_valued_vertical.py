"""What each party's columns have added: a vertical job through agents and ledger, and which are refused."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hansa.agents.config import PolicySection
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.core.policy import check_spec, objection
from hansa.agents.errors import ConfigError, JobAborted, JobError
from hansa.agents.jobs.jobfile import read_job
from hansa.agents.local import LocalFederation
from hansa.ledger import verify_store
from hansa.ledger.audit import audit
from hansa.ledger.contribution import weights
from hansa.ledger.export import export_to
from hansa.protocols import ModelRegistry
from tests.agents.harbour import ARBITER, BANK, SHOP, members, run, specification, table, write_tables

SHARE = 0.4  # of 80 common rows, held out


def found(folder: Path, *seen: str) -> LocalFederation:
    """Found a federation in which these parties let their own scores be seen."""
    parties = []
    for member in members():
        config: dict[str, Any] = dict(member.config)
        config["policy"] = {**config["policy"], "own_parts": member.name in seen}
        parties.append(replace(member, config=config))
    local = LocalFederation.found(parties, federation="harbour", folder=folder, aggregator=ARBITER)
    write_tables(folder)
    local.register()
    return local


def valued(local: LocalFederation, job: str, **settings: Setting) -> JobSpec:
    specification(local, job, **settings)
    path = local.folder / f"{job}.toml"
    path.write_text('contribution = "shapley"\n' + path.read_text())
    return read_job(path, ARBITER, local.ask(ARBITER, lambda agent: agent.clerk.standing.copy()))


@pytest.fixture(scope="module")
def open_handed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    with found(tmp_path_factory.mktemp("harbour"), BANK, SHOP) as local:
        run(local, "align-1")
        yield local


def plain_values(local: LocalFederation, job: str) -> dict[frozenset[str], float]:
    """Return what scikit-learn says of every coalition's parts, from what each party has at home."""
    held = 80 - round((1 - SHARE) * 80)
    parts, truth = {}, np.zeros(0)
    for name in (BANK, SHOP):
        own, order = local.result(job, name), local.result("align-1", name).rows
        rows = table(name)[order.tolist()]
        columns = {each: rows[each].to_numpy() for each in rows.columns}
        parts[name] = (own.preparation.apply(columns) @ own.theta)[-held:]
        if name == BANK:
            truth = (rows["standing"].to_numpy() == "good")[-held:]
    return {
        some: float(roc_auc_score(truth, sum((parts[name] for name in some), np.zeros(held))))
        for some in map(frozenset, ((), (BANK,), (SHOP,), (BANK, SHOP)))
    }


def test_shares_stand_on_the_ledger_and_can_be_recomputed_from_it(
    open_handed: LocalFederation, tmp_path: Path
) -> None:
    local = open_handed
    local.run(valued(local, "risk-1"))
    local.settle()
    job = local.ask(ARBITER, lambda agent: agent.clerk.standing.jobs["risk-1"])
    closed = local.result("risk-1")
    assert job.appraisal is not None
    shares = dict(job.appraisal.shares)
    assert shares == {name: Fraction(text) for name, text in closed.contributions.items()}
    assert job.shares == weights(shares).whole
    values = plain_values(local, "risk-1")
    grand = frozenset((BANK, SHOP))
    for name, other in ((BANK, SHOP), (SHOP, BANK)):
        one, rest = frozenset((name,)), frozenset((other,))
        expected = (values[one] - values[frozenset()] + values[grand] - values[rest]) / 2
        assert float(shares[name]) == pytest.approx(expected, abs=0.02)  # scores were rounded
    assert closed.cells == {BANK: 48 * 2, SHOP: 48 * 2}
    with pytest.raises(
        JobAborted, match="no more than 1 may show them"
    ):  # of two columns two jobs would tell
        local.run(valued(local, "risk-3"))
    local.settle()
    path = tmp_path / "ledger.hansa"
    local.ask(SHOP, lambda agent: verify_store(agent.clerk.store))
    local.ask(SHOP, lambda agent: export_to(agent.clerk.store, path))
    report = audit(path, workers=1)
    [line] = [each for each in report.jobs if each.name == "risk-1"]
    assert (line.method, line.evaluations, report.holds) == ("shapley", 4, True)
    assert line.contributions == pytest.approx({name: float(share) for name, share in shares.items()})


def test_a_party_that_lets_nobody_see_its_own_scores_refuses_and_the_ledger_says_why(tmp_path: Path) -> None:
    with found(tmp_path / "harbour", BANK) as local:
        run(local, "align-1")
        with pytest.raises(JobAborted, match="shop"):
            local.run(valued(local, "risk-1"))
        local.settle()
        job = local.ask(ARBITER, lambda agent: agent.clerk.standing.jobs["risk-1"])
        expected = (
            "our policy does not let our own scores be seen, by which contributions to this job are valued "
            "(own_parts = false)"
        )
        assert job.refused == (SHOP,)
        written = local.ask(ARBITER, lambda agent: [each.signed for each in agent.clerk.store.read()])
        assert any(expected.encode() in each for each in written)
        run(local, "risk-2")  # by volume it takes part


def test_without_rows_held_out_nobody_proposes_and_nobody_consents(open_handed: LocalFederation) -> None:
    text = "holdout: 0; contributions are valued on the rows that are held out"
    with pytest.raises(ConfigError, match=f"risk-9.toml: {text}"):
        valued(open_handed, "risk-9", holdout=0.0)
    held_out = valued(open_handed, "risk-9", holdout=0.4)
    spec = replace(held_out, settings={**held_out.settings, "holdout": 0.0})
    reason = f"job 'risk-9': {text}"
    with pytest.raises(JobError, match=reason):
        open_handed.run(spec)
    with pytest.raises(JobError, match=reason):
        check_spec(spec, ModelRegistry())
    policy = PolicySection(coordinators=(ARBITER,), own_parts=True, unguarded=True)

    def objects(spec: JobSpec, policy: PolicySection) -> str | None:
        return objection(spec, ARBITER, policy, {"customers"}, ModelRegistry(), {})

    assert objects(spec, policy) == reason
    assert objects(held_out, policy) is None
    assert objects(replace(spec, contribution={}), policy) is None
    assert objects(held_out, policy.model_copy(update={"own_parts": False})) is not None
