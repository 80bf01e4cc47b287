"""`hansa ledger export`, `audit`, `prove` and `check-proof`: what others check with a file and a fingerprint."""

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hansa.agents.cli.options import first_whole, folder_argument
from hansa.agents.cli.plain import jsonable
from hansa.agents.home import write_whole
from hansa.agents.service.logs import printable
from hansa.broker import to_plain
from hansa.ledger import (
    AuditReport,
    BadNote,
    BadProof,
    Body,
    Finding,
    Note,
    UnknownBody,
    read_checkpoint,
    read_note,
)
from hansa.ledger.audit import audit as audited
from hansa.ledger.export import MAGIC, export_to
from hansa.ledger.proofs import FIRST_LINE, Proof, check_proof, read_proof
from hansa.ledger.proofs import MOST_BYTES as MOST_PROOF_BYTES
from hansa.ledger.prover import prove as proven

MOST_COLUMNS = 100  # of a line of text: longer ones are hard to read
MOST_HEX = 64  # digits of a body's bytes that are shown
FINGERPRINT_BYTES = 32
MOST_CHARS = 2_000  # of a finding: an author's texts have their bounds, a file's have none

_MARKS = {"holds": "  holds  ", "read": "  READ   ", "fails": "  FAILS  "}
_COLOURS = {"holds": "green", "read": "yellow", "fails": "red"}

file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


def _fingerprint(context: click.Context, parameter: click.Parameter, value: str | None) -> bytes | None:
    if value is None:
        return None
    try:
        found = bytes.fromhex(value)
    except ValueError:
        found = b""
    if len(found) != FINGERPRINT_BYTES:
        raise click.BadParameter("expected a charter's fingerprint, 64 hex digits", context, parameter)
    return found


@click.command()
@click.argument("index", type=click.IntRange(min=0))
@folder_argument
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to; without it, to the screen."
)
def prove(index: int, folder: Path, out: Path | None) -> None:
    """Prove that entry INDEX of the ledger in FOLDER stands under a signed head, in one file for anybody.

    Whoever knows the charter's fingerprint checks it with `hansa ledger check-proof`, and needs nothing else.
    """
    with closing(first_whole(folder).stored()) as store:
        proof, final = proven(store, index)
    content = proof.encoded()
    size = read_checkpoint(proof.note.text).size
    if out is None:
        click.echo(content, nl=False)
    else:
        write_whole(out, content.decode(), mode=0o644)
        click.echo(f"{out}: entry {index} under the head of {size} entries, {len(content)} bytes")
    if not final:
        click.echo(
            f"the head of {size} entries is not final: too few members have cosigned it; prove again later",
            err=True,
        )


@click.command("check-proof")
@file_argument
@click.option(
    "--charter",
    callback=_fingerprint,
    metavar="FINGERPRINT",
    required=True,
    help="The federation's fingerprint, from a member.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(file: Path, charter: bytes, as_json: bool) -> None:
    """Check the proof in FILE, with nothing else but the charter's fingerprint.

    Exits with 1 if it proves nothing.
    """
    try:
        shown = check_proof(_proof(file), charter)
    except (BadNote, BadProof) as error:
        if as_json:
            click.echo(json.dumps({"holds": False, "error": str(error)}))
        else:
            _tell("fails", f"This proves nothing: {error}.", err=True)
        sys.exit(1)
    if as_json:
        said = {
            "index": shown.entry.index,
            "author": shown.said.author,
            "kind": shown.said.kind,
            "time_ms": shown.said.time_ms,
            "hash": shown.entry.hash.hex(),
            "body": jsonable(_plain(shown.body)),
        }
        head = {
            "size": shown.checkpoint.size,
            "root": shown.checkpoint.root.hex(),
            "epoch": shown.checkpoint.epoch,
            "keeper": shown.checkpoint.keeper,
            "cosigned": {each.member: each.time_s for each in shown.cosigned},
        }
        click.echo(json.dumps({"holds": True, "entry": said, "head": head}))
        return
    for sentence in shown.sentences[:-1]:
        _tell("holds", sentence)
    _tell("read", shown.sentences[-1])
    click.echo("\nThe entry says:")
    for name, value in _plain(shown.body).items():
        click.echo(_wrapped(f"{name}: {_short(value)}", "    "))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@folder_argument
def export(file: Path, folder: Path) -> None:
    """Write the whole ledger in FOLDER to FILE, for an audit by somebody who has nothing else.

    The agent may go on meanwhile: what it had when this began is written.
    """
    with closing(first_whole(folder).stored()) as store:
        end = export_to(store, file)
        fingerprint = next((entry.hash.hex() for entry in store.read(stop=1)), "")
    click.echo(f"{file}: {end}")
    click.echo(f"hansa ledger audit {file.name} --charter {fingerprint}")


@click.command()
@file_argument
@click.option(
    "--charter",
    callback=_fingerprint,
    metavar="FINGERPRINT",
    help="The federation's fingerprint, from a member.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write the report as a page."
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.option(
    "--at-least",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A signed checkpoint, or a proof, that you have from elsewhere: the ledger must contain its head.",
)
def audit(file: Path, charter: bytes | None, html: Path | None, as_json: bool, at_least: Path | None) -> None:
    """Check the exported ledger in FILE: every hash, signature, receipt, rule, root and cosignature.

    Exits with 1 if anything does not hold.
    """
    seen = None if at_least is None else _seen(at_least)
    progress = AuditProgress(sys.stderr.isatty() and not as_json)
    report = audited(file, charter=charter, at_least=seen, progress=progress)
    progress.clear()
    if as_json:
        click.echo(json.dumps(_report(report)))
    else:
        _show(report)
    if html is not None:  # last: where it can't be written, the verdict has been said
        from hansa.agents.audit import write_page  # draws with more than most audits need

        write_page(report, html, int(time.time()))
        if not as_json:
            click.echo(f"{html}: the report as a page")
    sys.exit(0 if report.holds else 1)


def _proof(path: Path) -> Proof:
    """Return the proof in a file; BadNote or BadProof, which says what the file is instead if it is known."""
    content = _content(path, MOST_PROOF_BYTES)
    if content.startswith(MAGIC):
        raise BadProof("a whole ledger and no proof: `hansa ledger audit` checks it")
    if not content.startswith(FIRST_LINE.encode()):
        raise BadProof("no proof: `hansa ledger prove` writes one")
    return read_proof(content)


def _seen(path: Path) -> Note:
    """Return the checkpoint in a file that is one, or a proof."""
    try:
        content = _content(path, MOST_PROOF_BYTES)
        proof = content.startswith(FIRST_LINE.encode())
        note = read_proof(content).note if proof else read_note(content)
        read_checkpoint(note.text)
    except (BadNote, BadProof) as error:
        raise click.BadParameter(f"{path}: no signed checkpoint: {error}", param_hint="--at-least") from None
    return note


def _content(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most + 1)  # one too many is for its reader to refuse


# --- as people read it ----------------------------------------------------------------------------------
class AuditProgress:
    """Says how far an audit is, on one line of the terminal's own; nothing, unless it is to be shown."""

    def __init__(self, shown: bool, write: Callable[[str], object] | None = None) -> None:
        self._shown = shown
        self._write = write or sys.stderr.write
        self._told = -1

    def __call__(self, done: int, entries: int) -> None:
        percent = 100 * done // max(1, entries)
        if self._shown and percent != self._told:
            self._told = percent
            self._write(f"\r{done:,} of {entries:,} entries followed, {percent} %")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line empty."""
        if self._shown:
            self._write("\r\x1b[K")


def _show(report: AuditReport) -> None:
    title = f"{printable(report.source)}: the ledger of {report.federation or 'nobody'}"
    click.echo(_wrapped(f"{title}, {report.size:,} entries, kept by {report.keeper or 'nobody'}", ""))
    if report.fingerprint:
        click.echo(f"charter  {report.fingerprint}")
    click.echo()
    for finding in report.findings:
        _tell(_verdict(finding), finding.text)
    click.echo()
    if report.members:
        width = max(len(member.name) for member in report.members)
        click.echo("members, and the fingerprints of their keys")
        for member in report.members:
            click.echo(f"  {member.name:<{width}}  {member.status}, {member.entries:,} entries")
            click.echo(f"      {member.fingerprint}")
        click.echo()
    wrong = sum(not finding.holds for finding in report.findings)
    if wrong:
        click.secho(f"DOES NOT HOLD: see {wrong} of the points above", fg="red", bold=True)
    else:
        concerns = sum(finding.concern for finding in report.findings)
        click.secho(f"HOLDS; {concerns} points to be read before anybody pays by it", fg="green", bold=True)


def _verdict(finding: Finding) -> str:
    if not finding.holds:
        return "fails"
    return "read" if finding.concern else "holds"


def _tell(verdict: str, text: str, err: bool = False) -> None:
    """Print one finding, its verdict in words and in colour before it."""
    mark = _MARKS[verdict]
    wrapped = _wrapped(text, " " * len(mark))
    click.echo(click.style(mark, fg=_COLOURS[verdict], bold=verdict != "holds") + wrapped.lstrip(), err=err)


def _wrapped(text: str, indent: str) -> str:
    columns = min(shutil.get_terminal_size().columns, MOST_COLUMNS)
    return textwrap.fill(
        printable(text)[:MOST_CHARS], columns - 1, initial_indent=indent, subsequent_indent=indent
    )


def _short(value: Any) -> str:
    match value:
        case bytes() if 2 * len(value) > MOST_HEX:
            return f"{value.hex()[:MOST_HEX]}… ({len(value):,} bytes)"
        case bytes():
            return value.hex()
        case _:
            return json.dumps(jsonable(value), ensure_ascii=False)


# --- as programs read it --------------------------------------------------------------------------------
def _report(report: AuditReport) -> dict[str, Any]:
    plain = asdict(report)
    for line, said in zip(report.checkpoints, plain["checkpoints"], strict=True):
        said["final"] = line.final
    return {"holds": report.holds, **plain}


def _plain(body: Body | UnknownBody) -> dict[str, Any]:
    plain = to_plain(body)
    assert isinstance(plain, dict)
    return plain
