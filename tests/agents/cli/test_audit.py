"""`hansa ledger export | audit | prove | check-proof` as a person types them, in a home and far from any."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import audit as commands
from hansa.agents.cli import main
from hansa.ledger.prover import prove
from tests.agents.federations import found, specification
from tests.ledger.chronicle import Chronicle, founded, told
from tests.ledger.test_proofs import stored


def hansa(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["ledger", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("audit") / "federation"
    with found(made) as local:
        local.run(specification())
        local.settle()
    return made


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a home."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def fingerprint(folder: Path) -> str:
    return str(json.loads(hansa("show", folder, "--json").stdout.splitlines()[0])["hash"])


def test_an_export_of_a_home_is_audited_where_there_is_none(
    folder: Path, fingerprint: str, away: Path
) -> None:
    made = hansa("export", away / "ledger.export", folder)
    assert made.exit_code == 0, made.output
    assert f"hansa ledger audit ledger.export --charter {fingerprint}" in made.stdout
    result = hansa("audit", "ledger.export", "--charter", fingerprint, "--html", "report.html")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) < 80
    assert lines[0] == "ledger.export: the ledger of local, 20 entries, kept by aggregator"
    assert "  holds  The file is whole: 20 entries, 2 checkpoints, 0 pieces of evidence." in lines
    assert "HOLDS; 2 points to be read before anybody pays by it" in lines
    assert lines[-1] == "report.html: the report as a page"
    assert "<html" in Path("report.html").read_text()


def test_an_audit_can_be_read_by_programs(folder: Path, fingerprint: str, away: Path) -> None:
    hansa("export", "ledger.export", folder / "north")
    report = json.loads(hansa("audit", "ledger.export", "--charter", fingerprint, "--json").stdout)
    assert report["holds"]
    assert (report["size"], report["final_size"]) == (20, 20)
    assert [line["final"] for line in report["checkpoints"]] == [True, True]
    assert report["fingerprint"] == fingerprint


def written(made: Chronicle, path: Path) -> str:
    """Write an export; return the charter's fingerprint."""
    made.write_to(path)
    return made.fingerprint.hex()


def test_what_does_not_hold_is_said_and_ends_with_1(away: Path) -> None:
    made = told()
    made.entries[7], made.entries[8] = made.entries[8], made.entries[7]
    fingerprint = written(made, away / "bad.export")
    result = hansa("audit", "bad.export", "--charter", fingerprint, "--html", "bad.html")
    assert result.exit_code == 1
    assert "  FAILS  Entry 7 does not hold: missing: the next entry is 8." in result.stdout
    assert "DOES NOT HOLD: see 2 of the points above" in result.stdout
    assert Path("bad.html").exists()
    assert hansa("audit", "bad.export", "--charter", "0" * 64).exit_code == 1


def test_a_page_that_cannot_be_written_takes_no_verdict_away(away: Path) -> None:
    fingerprint = written(told(), away / "good.export")
    result = hansa("audit", "good.export", "--charter", fingerprint, "--html", "none/report.html")
    assert "HOLDS; " in result.stdout
    assert "Error: none/report.html: No such file or directory" in result.stderr


def test_any_file_is_audited_without_a_traceback(away: Path) -> None:
    Path("x").write_bytes(b"x" * 1000)
    result = hansa("audit", "x")
    assert result.exit_code == 1
    assert "FAILS  The file is not a whole export: not an exported ledger" in result.stdout


def test_neither_a_files_name_nor_what_authors_wrote_steers_the_terminal(away: Path) -> None:
    made = founded("\x1b[31mred\x9b")
    written(made, away / "a\x1b[31mb.export")
    result = hansa("audit", "a\x1b[31mb.export")
    assert result.stdout.startswith("a\\x1b[31mb.export: ")
    store = stored(made, away / "ledger.sqlite")
    Path("p").write_bytes(prove(store, 0)[0].encoded())
    store.close()
    result = hansa("check-proof", "p", "--charter", made.fingerprint.hex())
    assert "red\\x9b" in result.stdout
    assert not {"\x1b", "\x9b"} & set(result.stdout)


@pytest.mark.parametrize("as_proof", [False, True])
def test_a_head_that_was_seen_must_stand_in_the_ledger(folder: Path, away: Path, as_proof: bool) -> None:
    newer = told()
    older = told()
    older.entries, older.notes = older.entries[:13], older.notes[:2]
    fingerprint = written(older, away / "older.export")
    assert hansa("audit", "older.export", "--charter", fingerprint).exit_code == 0
    Path("head").write_bytes(newer.notes[-1].encoded())
    if as_proof:
        hansa("prove", 3, folder, "--out", "head")
    result = hansa("audit", "older.export", "--charter", fingerprint, "--at-least", "head")
    assert result.exit_code == 1
    assert "FAILS  The head that you have seen" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("audit", "nowhere"), "does not exist"),
        (("audit", "x", "--charter", "abc"), "64 hex digits"),
        (("audit", "x", "--charter", "00" * 31), "64 hex digits"),
        (("audit", "x", "--at-least", "x"), "no signed checkpoint"),
        (("check-proof", "x"), "Missing option '--charter'"),
        (("prove", "--", "-1"), "not in the range"),
    ],
)
def test_what_is_typed_wrong_ends_with_2(away: Path, arguments: tuple[str, ...], why: str) -> None:
    Path("x").write_bytes(b"x")
    result = hansa(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr


# --- proofs -----------------------------------------------------------------------------------------------
def test_an_entry_is_proven_from_a_home_and_checked_where_there_is_none(
    folder: Path, fingerprint: str, away: Path
) -> None:
    result = hansa("prove", 3, folder / "east", "--out", "3.proof")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3.proof: entry 3 under the head of 20 entries, ")
    checked = hansa("check-proof", "3.proof", "--charter", fingerprint)
    assert checked.exit_code == 0, checked.output
    said = " ".join(checked.stdout.split())
    assert "aggregator wrote this entry of kind member-admitted" in said
    assert "It is entry 3 of the ledger of local, under a head of 20 entries" in said
    assert "(1,216 bytes)" in said
    assert "Not shown here: " in said
    assert max(map(len, checked.stdout.splitlines())) < 80
    plain = json.loads(hansa("check-proof", "3.proof", "--charter", fingerprint, "--json").stdout)
    assert (plain["holds"], plain["entry"]["index"], plain["head"]["size"]) == (True, 3, 20)


def test_an_export_that_cannot_be_written_is_one_line_with_its_name(folder: Path, away: Path) -> None:
    result = hansa("export", "none/ledger.export", folder)
    assert (result.exit_code, result.stderr) == (1, "Error: none/ledger.export: No such file or directory\n")


def test_without_a_file_a_proof_goes_to_the_screen(folder: Path, fingerprint: str, away: Path) -> None:
    result = hansa("prove", 7, folder)
    Path("p").write_text(result.stdout)
    assert hansa("check-proof", "p", "--charter", fingerprint).exit_code == 0


def test_what_proves_nothing_ends_with_1(folder: Path, fingerprint: str, away: Path) -> None:
    hansa("prove", 3, folder, "--out", "p")
    result = hansa("check-proof", "p", "--charter", "00" * 32)
    assert result.exit_code == 1
    assert "FAILS  This proves nothing: of another federation" in result.stderr
    plain = hansa("check-proof", "p", "--charter", "00" * 32, "--json")
    assert (plain.exit_code, json.loads(plain.stdout)["holds"]) == (1, False)
    Path("p").write_bytes(b"x")
    said = hansa("check-proof", "p", "--charter", fingerprint).stderr
    assert "This proves nothing: no proof: `hansa ledger prove` writes one" in said
    hansa("export", "p", folder)
    said = " ".join(hansa("check-proof", "p", "--charter", fingerprint).stderr.split())
    assert said.endswith("This proves nothing: a whole ledger and no proof: `hansa ledger audit` checks it.")


def test_what_cannot_be_proven_is_one_clear_line(folder: Path) -> None:
    result = hansa("prove", 99, folder)
    assert result.exit_code == 1
    assert result.stderr == "Error: there is no entry 99: the ledger has 20, numbered from 0\n"


def test_a_head_that_is_not_final_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.agents.cli.audit.proven", lambda store, index: (prove(store, index)[0], False))
    result = hansa("prove", 3, folder)
    assert result.exit_code == 0
    assert "the head of 20 entries is not final: too few members have cosigned it" in result.stderr


def test_progress_is_one_line_that_goes_away() -> None:
    written: list[str] = []
    progress = commands.AuditProgress(True, written.append)
    for done in (0, 1, 500, 1000):
        progress(done, 1000)
    progress.clear()
    assert written == [
        "\r0 of 1,000 entries followed, 0 %",
        "\r500 of 1,000 entries followed, 50 %",
        "\r1,000 of 1,000 entries followed, 100 %",
        "\r\x1b[K",
    ]
