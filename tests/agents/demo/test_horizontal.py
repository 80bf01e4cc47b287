"""`hansa demo horizontal` as a person types it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.demo.digits import PARTIES, PLANS
from hansa.agents.demo.folder import command
from hansa.agents.home import find_homes
from tests.agents.federations import found

POT = "1234.57"


def hansa(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, [str(argument) for argument in arguments])


def demo(folder: Path, *options: str) -> Result:
    return hansa("demo", "horizontal", "--folder", folder, *options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(result: Result, *words: str) -> None:
    """Check for one line on stderr, and no traceback."""
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert all(word in result.stderr for word in words), result.stderr
    assert not result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "federation"


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    result = demo(folder, "--pot", POT)
    assert result.exit_code == 0, result.output
    return result.stdout


def table(printed: str, title: str) -> list[str]:
    """Return the lines of the table under a title, its header first."""
    lines = printed.split(title, 1)[1].split("\n\n")[0].splitlines()
    return [line.strip() for line in lines[1:] if line.strip()]


def test_it_says_who_joined_and_how_unevenly_the_digits_are_split(printed: str) -> None:
    header, *joined = table(printed, "joined")
    assert header.startswith("agent")
    assert {line.split()[0] for line in joined} == {"aggregator", *PARTIES}
    for name, organisation in PARTIES.items():
        [line] = [line for line in joined if line.startswith(name)]
        assert organisation in line
        rows, *digits = map(int, line.split()[-11:])
        assert rows == sum(digits)
        assert min(digits) < 10 < max(digits)


def test_it_shows_loss_and_accuracy_of_every_round(printed: str) -> None:
    for plan in PLANS:
        shown = re.findall(rf"round +(\d+)/{plan.rounds}  loss (\d+\.\d+)  accuracy +([\d.]+)%", printed)
        assert len(shown) >= plan.rounds  # the last event may come after the job has ended
        assert float(shown[-1][1]) < float(shown[0][1])
        assert float(shown[-1][2]) > 85


def test_it_ends_with_the_figures_of_both_models(printed: str) -> None:
    header, *models = table(printed, "accuracy on the union of held-out rows")
    assert header.split() == ["model", "V_FED", "V_SUM", "δ", "best", "local-only"]
    assert len(models) == len(PLANS)
    for line in models:
        numbers = re.search(r"([\d.]+)% +([\d.]+)% +([\d.]+) points +([\d.]+)% \((\w+)\)", line)
        assert numbers is not None
        federated, pooled, delta, alone = map(float, numbers.groups()[:4])
        assert delta == pytest.approx(abs(federated - pooled), abs=0.11)  # of rounded figures
        assert federated > alone + 10
        assert delta < 10
        assert numbers[5] in PARTIES


def test_the_shares_add_up_to_the_pot(printed: str) -> None:
    header, *shares, pot = table(printed, "shares by data volume")
    assert header.split() == ["party", "rows", "share", "EUR"]
    amounts = {line.split()[0]: round(100 * float(line.split()[-1].replace(",", ""))) for line in shares}
    rows = {line.split()[0]: int(line.split()[1]) for line in shares}
    assert amounts.keys() == set(PARTIES)
    assert sum(amounts.values()) == 123_457
    assert pot.split() == ["pot", str(sum(rows.values())), "1,234.57"]
    for name in PARTIES:
        assert amounts[name] == pytest.approx(123_457 * rows[name] / sum(rows.values()), abs=1)


def test_the_folder_it_leaves_verifies_as_it_says(printed: str, folder: Path) -> None:
    said = re.search(r"ledger verified: (\d+) entries, head ([0-9a-f]{16})", printed)
    assert said is not None
    assert int(said[1]) > 90
    result = hansa("ledger", "verify", folder)
    assert result.exit_code == 0
    assert result.stdout.count(said[0]) == 1 + len(PARTIES)


def test_the_commands_it_names_work(printed: str, folder: Path) -> None:
    typed = re.findall(r"^  \S*hansa (.*)$", printed, re.MULTILINE)
    assert [each.split()[:2] for each in typed] == [["ledger", "show"], ["ledger", "verify"]]
    for each in typed:
        assert hansa(*each.split()).exit_code == 0


def test_a_second_run_does_not_touch_the_first_unless_it_is_told_to(printed: str, folder: Path) -> None:
    before = files(folder)
    refused(demo(folder), str(folder), "not empty", "--replace")
    assert files(folder) == before


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo have one job of one round."""
    monkeypatch.setattr("hansa.agents.demo.horizontal.PLANS", (replace(PLANS[0], rounds=1),))


@pytest.mark.usefixtures("short")
def test_replace_makes_an_earlier_demos_folder_anew(tmp_path: Path) -> None:
    assert demo(tmp_path).exit_code == 0
    before = [home.identity().public for home in find_homes(tmp_path)]
    assert demo(tmp_path, "--replace", "--seed", "3").exit_code == 0
    after = [home.identity().public for home in find_homes(tmp_path)]
    assert [each.name for each in after] == [each.name for each in before]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_replace_removes_nothing_but_a_demo(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("three years of work")
    refused(demo(tmp_path, "--replace"), str(tmp_path))
    assert (tmp_path / "thesis.tex").read_text() == "three years of work"


@pytest.mark.usefixtures("short")
def test_replace_spares_a_demo_that_something_else_lies_in(tmp_path: Path) -> None:
    assert demo(tmp_path).exit_code == 0
    (tmp_path / "thesis.tex").write_text("three years of work")
    before = files(tmp_path)
    refused(demo(tmp_path, "--replace"), "not an earlier demo's folder", "thesis.tex", "nothing removed")
    assert files(tmp_path) == before


def test_replace_spares_a_federation_whose_agents_have_the_same_names(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    with found(folder, parties=tuple(sorted(PARTIES))):
        pass
    before = files(folder)
    refused(demo(folder, "--replace"), "not an earlier demo's folder", "nothing removed")
    assert files(folder) == before


class Killed(BaseException):
    """Stands for SIGKILL: nothing on the way out catches it."""


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("victim", ["LocalFederation.found", "find_homes", "LocalFederation.open"])
def test_replace_takes_what_a_demo_killed_while_founding_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"hansa.agents.demo.folder.{victim}", kill)
        with pytest.raises(Killed):
            demo(tmp_path)
    assert (tmp_path / ".hansa-demo").exists()
    refused(demo(tmp_path), "not empty")
    assert demo(tmp_path, "--replace").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {".hansa-demo", "aggregator", *PARTIES}


@pytest.mark.usefixtures("short")
def test_a_terminal_of_ascii_and_a_folder_in_brackets_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    folder = tmp_path / "[red]my [/] \u00e9"
    runner = CliRunner(env={"COLUMNS": "160"}, charset="ascii")
    result = runner.invoke(main, ["demo", "horizontal", "--folder", str(folder), "--seed", str(2**32 - 1)])
    assert result.exit_code == 0, result.output
    assert "  ##" in result.stdout
    assert "delta" in result.stdout
    assert "/[red]my [/] \\xe9: the homes" in result.stdout
    assert re.search(r"^  \S+bin/hansa ledger verify '", result.stdout, re.MULTILINE)


@pytest.mark.parametrize(("known", "expected"), [("/usr/bin/hansa", "hansa"), (None, "bin/hansa")])
def test_commands_are_named_as_they_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str | None, expected: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "hansa").touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda _: known)
    monkeypatch.chdir(tmp_path)
    assert command() == expected


def test_a_seed_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    result = demo(tmp_path / "new", "--seed", str(2**32))
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("pot", ["a lot", "", "0", "-5", "0.001", "nan", "inf", "1e999999999", "1e40"])
def test_a_pot_must_be_an_amount_of_money(tmp_path: Path, pot: str) -> None:
    refused(demo(tmp_path / "new", f"--pot={pot}"), f"--pot {pot}:")
    assert not (tmp_path / "new").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    result = demo(tmp_path / "file")
    assert result.exit_code == 2
    assert "is a file" in result.stderr


def test_its_data_alone_is_what_the_demo_deals_its_parties(
    printed: str, folder: Path, tmp_path: Path
) -> None:
    result = hansa("demo", "data", tmp_path / "new" / "rows")
    assert result.exit_code == 0, result.output
    for name in PARTIES:
        file = tmp_path / "new" / "rows" / name / "digits.csv"
        assert f"{file}: {len(file.read_text().splitlines()) - 1} rows" in result.stdout
        assert file.read_bytes() == (folder / name / "digits.csv").read_bytes()
    assert re.search(
        r"^next: hansa data add .*/north/digits.csv --name digits --target digit", result.stdout, re.M
    )


def test_its_data_takes_the_place_of_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "south").mkdir()
    (tmp_path / "south" / "digits.csv").write_text("mine")
    refused(hansa("demo", "data", tmp_path), str(tmp_path / "south" / "digits.csv"), "exists")
    assert files(tmp_path) == {str(tmp_path / "south" / "digits.csv"): b"mine"}
