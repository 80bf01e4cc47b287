"""An agent's configuration: what passes, and the one line that says what doesn't."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from pydantic import ValidationError

from hansa.agents.config import AgentConfig, DataSection, load_config, read_toml
from hansa.agents.errors import ConfigError

CHARTER = "5a" * 32

WHOLE: dict[str, Any] = {
    "agent": {"name": "north-bank", "organisation": "North Bank", "roles": ["party"], "workers": 2},
    "federation": {"id": "baltic", "keeper": "hub", "charter": CHARTER},
    "ledger": {"url": "sqlite:///books.sqlite"},
    "data": {"loans": {"file": "loans.csv", "id": "loan", "target": "defaulted", "holdout": 0.25}},
    "policy": {
        "protocols": ["horizontal-fedavg"],
        "models": ["softmax"],
        "coordinators": ["hub"],
        "datasets": ["loans"],
        "minimum_parties": 3,
    },
}
LEAST: dict[str, Any] = {
    "agent": {"name": "north-bank"},
    "federation": {"id": "baltic", "keeper": "hub", "charter": CHARTER},
}


def with_change(key: str, value: Any) -> dict[str, Any]:
    """Return WHOLE with one dotted key set, or removed if the value is `...`."""
    content = deepcopy(WHOLE)
    *path, last = key.split(".")
    table = content
    for part in path:
        table = table.setdefault(part, {})
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return content


def complaint(tmp_path: Path, content: dict[str, Any] | str | bytes) -> str:
    """Return what `load_config` says of this content, after the file's name; checks that it is one line."""
    path = tmp_path / "agent.toml"
    if isinstance(content, dict):
        content = tomlkit.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_a_whole_file_is_read_into_its_sections(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(tomlkit.dumps(WHOLE), encoding="utf-8")
    config = load_config(path)
    assert config.agent.name == "north-bank"
    assert config.agent.roles == ("party",)
    assert config.agent.workers == 2
    assert config.federation.charter == CHARTER
    assert config.ledger.url == "sqlite:///books.sqlite"
    assert config.data["loans"].target == "defaulted"
    assert config.data["loans"].holdout == 0.25
    assert config.policy.minimum_parties == 3
    assert config.policy.coordinators == ("hub",)


def test_what_a_file_leaves_out_has_a_default() -> None:
    config = AgentConfig.model_validate({**LEAST, "data": {"loans": {"file": "loans.csv"}}})
    assert config.agent.roles == ("party",)
    assert config.agent.organisation == ""
    assert config.agent.workers == 1
    assert config.ledger.url == "sqlite:///ledger.sqlite"
    assert (config.data["loans"].id, config.data["loans"].target, config.data["loans"].holdout) == (
        "id",
        None,
        0.2,
    )
    assert config.policy.protocols == config.policy.models == config.policy.datasets == ("*",)
    assert config.policy.coordinators == (config.federation.keeper,)
    assert config.policy.minimum_parties == 2


def test_the_keeper_is_a_role_in_a_policy_and_never_an_agent_of_that_name() -> None:
    rules = {"coordinators": ["bremen", "keeper"]}
    assert AgentConfig.model_validate({**LEAST, "policy": rules}).policy.coordinators == (
        LEAST["federation"]["keeper"],
        "bremen",
    )
    lonely = {key: value for key, value in LEAST.items() if key != "federation"}
    assert AgentConfig.model_validate(lonely).policy.coordinators == ()


def test_a_configuration_cannot_be_changed_after_it_was_checked() -> None:
    config = AgentConfig.model_validate(LEAST)
    with pytest.raises(ValidationError, match="frozen"):
        config.policy.minimum_parties = 1


@pytest.mark.parametrize(
    "key",
    [
        "agents",
        "agent.nmae",
        "federation.broker",
        "ledger.file",
        "data.loans.targets",
        "policy.model",
    ],
)
def test_an_unknown_key_is_refused_at_every_level(tmp_path: Path, key: str) -> None:
    assert complaint(tmp_path, with_change(key, "x")) == f"{key}: unknown key"


def test_a_key_that_is_not_bare_is_quoted_so_that_the_complaint_stays_one_line(tmp_path: Path) -> None:
    assert complaint(tmp_path, {**LEAST, "two\nlines": 1}) == '"two\\nlines": unknown key'


@pytest.mark.parametrize(
    "key",
    [
        "agent",
        "agent.name",
        "federation.id",
        "federation.keeper",
        "federation.charter",
    ],
)
def test_a_required_section_or_key_that_is_missing_is_named(tmp_path: Path, key: str) -> None:
    assert complaint(tmp_path, with_change(key, ...)) == f"{key}: missing"


QUERY = {"url": "postgresql+psycopg://reader@db/books", "query": "SELECT * FROM loans"}


def test_a_data_set_may_be_a_query(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(tomlkit.dumps({**LEAST, "data": {"loans": {**QUERY, "password_file": "db.password"}}}))
    section = load_config(path).data["loans"]
    assert (section.file, section.query, section.timeout_s) == (None, "SELECT * FROM loans", 300)


@pytest.mark.parametrize(
    ("section", "complaint_of_it"),
    [
        ({}, "needs either file, or url with query"),
        ({"file": "a.csv", **QUERY}, "needs either file, or url with query"),
        ({"url": QUERY["url"]}, "url and query go together"),
        ({"file": "a.csv", "query": "SELECT 1"}, "url and query go together"),
        ({"file": "a.csv", "password_file": "x"}, "password_file belongs to url"),
        (
            {**QUERY, "url": "mysql://u:hidden@db/books"},
            "url must begin with sqlite:/// or postgresql+psycopg://",
        ),
    ],
)
def test_a_data_set_comes_from_one_place(
    tmp_path: Path, section: dict[str, str], complaint_of_it: str
) -> None:
    text = complaint(tmp_path, {**LEAST, "data": {"loans": section}})
    assert text == f"data.loans: {complaint_of_it}"


def test_columns_are_prepared_as_the_section_says(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    rules = {"categories": ["ward", "region"], "missing": "fill", "standardise": False, "rare": 0.02}
    path.write_text(tomlkit.dumps({**LEAST, "data": {"loans": {"file": "a.csv", **rules}}}))
    section = load_config(path).data["loans"]
    assert section.categories == ("ward", "region")
    assert (section.missing, section.standardise, section.rare) == ("fill", False, 0.02)
    plain = DataSection(file="a.csv")
    assert (plain.categories, plain.missing, plain.standardise, plain.rare) == ((), "refuse", True, 0.0)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"categories": ["loan"]}, ": categories: 'loan' is the id, not a feature"),
        ({"categories": ["late"], "target": "late"}, ": categories: 'late' is the target, not a feature"),
        ({"categories": ["a", "b", "a"]}, ": categories: 'a' is named twice"),
        ({"categories": "ward"}, ".categories: expected a list"),
        ({"categories": [""]}, ".categories.0: String should have at least 1 character"),
        ({"missing": "drop"}, ".missing: Input should be 'refuse' or 'fill'"),
        ({"standardise": "yes"}, ".standardise: Input should be a valid boolean"),
        ({"rare": 1.0}, ".rare: Input should be less than 1"),
    ],
)
def test_rules_for_columns_that_make_no_sense_are_refused(
    tmp_path: Path, rules: dict[str, Any], expected: str
) -> None:
    section = {"file": "a.csv", "id": "loan", **rules}
    assert complaint(tmp_path, {**LEAST, "data": {"loans": section}}) == f"data.loans{expected}"


def test_a_password_in_an_address_stands_in_no_repr() -> None:
    section = DataSection(url="postgresql+psycopg://reader:hidden@db/books", query="SELECT 1")
    assert "hidden" not in repr(section)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("agent", 7, "expected a table"),
        ("agent.name", 7, "valid string"),
        ("agent.organisation", ["North"], "valid string"),
        ("agent.roles", "party", "expected a list"),
        ("agent.workers", "4", "valid integer"),
        ("agent.workers", True, "valid integer"),
        ("agent.workers", 1.0, "valid integer"),
        ("federation.charter", 5, "valid string"),
        ("ledger.url", False, "valid string"),
        ("data", "loans.csv", "expected a table"),
        ("data.loans", "loans.csv", "expected a table"),
        ("data.loans.file", 1, "valid string"),
        ("data.loans.target", 1, "valid string"),
        ("data.loans.holdout", "0.2", "valid number"),
        ("data.loans.holdout", True, "valid number"),
        ("policy.models", "softmax", "expected a list"),
        ("policy.minimum_parties", "3", "valid integer"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_and_never_converted(
    tmp_path: Path, key: str, value: Any, expected: str
) -> None:
    text = complaint(tmp_path, with_change(key, value))
    assert text.startswith(f"{key}: ")
    assert expected in text


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("agent.organisation", "x" * 201, "at most 200 characters"),
        ("agent.roles", [], "at least 1 item"),
        ("agent.workers", 0, "greater than or equal to 1"),
        ("agent.workers", 257, "less than or equal to 256"),
        ("ledger.url", "", "at least 1 character"),
        ("data.loans.file", "", "at least 1 character"),
        ("data.loans.id", "", "at least 1 character"),
        ("data.loans.holdout", -0.1, "greater than or equal to 0"),
        ("data.loans.holdout", 1.0, "less than 1"),
        ("data.loans.holdout", float("nan"), "less than 1"),
        ("policy.minimum_parties", 0, "greater than or equal to 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(
    tmp_path: Path, key: str, value: Any, expected: str
) -> None:
    text = complaint(tmp_path, with_change(key, value))
    assert text.startswith(f"{key}: ")
    assert expected in text


@pytest.mark.parametrize("key", ["agent.name", "federation.id", "federation.keeper"])
@pytest.mark.parametrize("name", ["", "North", "north bank", "n" * 41, "north\n", "nörd", "a.b", "all"])
def test_a_name_that_fits_no_topic_is_refused(tmp_path: Path, key: str, name: str) -> None:
    text = complaint(tmp_path, with_change(key, name))
    assert text.startswith(f"{key}: ")
    assert repr(name) in text


def test_a_data_set_needs_a_name_like_any_other(tmp_path: Path) -> None:
    text = complaint(tmp_path, {**LEAST, "data": {"Loans 2024": {"file": "loans.csv"}}})
    assert text.startswith('data."Loans 2024": names are 1 to 40')


@pytest.mark.parametrize("fingerprint", ["", "5a" * 31, "5a" * 33, "5A" * 32, "5g" * 32, "5a" * 32 + "\n"])
def test_a_fingerprint_is_64_hex_digits(tmp_path: Path, fingerprint: str) -> None:
    text = complaint(tmp_path, with_change("federation.charter", fingerprint))
    assert text.startswith("federation.charter: a fingerprint is 64")


def test_an_unknown_role_is_refused_and_the_known_ones_are_listed(tmp_path: Path) -> None:
    text = complaint(tmp_path, with_change("agent.roles", ["party", "spectator"]))
    assert text == "agent.roles.1: Input should be 'party', 'aggregator' or 'arbiter'"


def test_the_keeper_must_be_an_aggregator(tmp_path: Path) -> None:
    text = complaint(tmp_path, with_change("federation.keeper", "north-bank"))
    assert text == "agent.roles must name 'aggregator': this agent is the keeper of the ledger"
    keeper = with_change("federation.keeper", "north-bank")
    keeper["agent"]["roles"] = ["party", "aggregator"]
    assert AgentConfig.model_validate(keeper).federation.keeper == "north-bank"


def test_several_mistakes_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    content = with_change("agent.workers", 0)
    content["policy"]["minimum_parties"] = 0
    assert complaint(tmp_path, content).endswith("(and 1 more)")


def test_a_file_that_is_no_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    assert "line 2" in complaint(tmp_path, "[agent]\nname = north\n")


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    assert "overwrite" in complaint(tmp_path, '[agent]\nname = "a"\nname = "b"\n')


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    assert "utf-8" in complaint(tmp_path, b"\xff\xfe[agent]")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "agent.toml")
    assert str(caught.value) == f"{tmp_path / 'agent.toml'}: no such file"


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        read_toml(tmp_path)


def test_whoever_belongs_to_no_federation_yet_is_told_how_to_join_one(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('[agent]\nname = "north"\n', encoding="utf-8")
    config = load_config(path)
    assert config.membership is None
    with pytest.raises(ConfigError, match="north belongs to no federation yet: `hansa join`"):
        _ = config.federation
