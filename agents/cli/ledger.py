"""`hansa ledger`: look at a copy of the ledger, and check it."""

import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hansa.agents.care.keeping import GoOn
from hansa.agents.cli.audit import audit, check, export, prove
from hansa.agents.cli.lines import one_line
from hansa.agents.cli.options import first_whole, folder_argument, home_option
from hansa.agents.cli.plain import jsonable
from hansa.agents.cli.sayings import in_words
from hansa.agents.cli.takeover import takeover
from hansa.agents.cli.witness import checkpoints, evidence
from hansa.agents.core.clerk import seen_head
from hansa.agents.errors import AgentError
from hansa.agents.home import JOURNAL, Home, find_homes
from hansa.agents.service.logs import printable
from hansa.agents.service.reach import reach
from hansa.broker import BrokerError, to_plain
from hansa.ledger import BadEntry, ChainedEntry, Head, LedgerError, decode_body, read_entry, verify_store


@click.group()
def ledger() -> None:
    """Show and verify the ledger of an agent's home, or of a folder of homes."""


for command in (prove, check, export, audit):
    ledger.add_command(command)
ledger.add_command(checkpoints)
ledger.add_command(evidence)
ledger.add_command(takeover)


@ledger.command()
@folder_argument
@click.option("--last", type=click.IntRange(min=1), help="Only the newest N entries.")
@click.option("--kind", help="Only entries of this kind, such as round-closed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def show(folder: Path, last: int | None, kind: str | None, as_json: bool) -> None:
    """List the entries of the ledger in FOLDER (the first whole home's copy if there are several)."""
    home = first_whole(folder)
    store = home.stored()
    try:
        start = max(0, store.head().size - last) if last is not None else 0
        entries = [
            entry for entry in store.read(start) if kind is None or read_entry(entry.signed).kind == kind
        ]
    finally:
        store.close()
    if as_json:
        for entry in entries:
            click.echo(json.dumps(_as_json(entry)))
        return
    width = max((len(read_entry(entry.signed).author) for entry in entries), default=0)
    click.echo(f"{home.path / 'ledger.sqlite'} (times are UTC)")
    for entry in entries:
        fields = read_entry(entry.signed)
        when = datetime.fromtimestamp(fields.time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        what = in_words(decode_body(fields.kind, fields.schema, fields.body)) or _fields(entry)
        click.echo(f"{entry.index:>5}  {when}  {fields.author:<{width}}  {fields.kind:<21}  {what}")
    click.echo("not verified; `hansa ledger verify` checks it", err=True)


@ledger.command()
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object per copy.")
def verify(folder: Path, as_json: bool) -> None:
    """Check every copy of the ledger in FOLDER: hashes, signatures, receipts, rules, and the newest head seen.

    Exits with 1 if any copy is bad, naming its first bad entry.
    """
    homes = find_homes(folder)
    bad = 0
    for home in homes:
        verdict = _verdict(home)
        bad += not verdict["ok"]
        if as_json:
            click.echo(json.dumps(verdict))
        elif verdict["ok"]:
            click.echo(
                f"{verdict['agent']}: ledger verified: {verdict['entries']} entries, head {verdict['head'][:16]}"
            )
        else:
            click.echo(f"{verdict['agent']}: LEDGER BAD: {verdict['error']}", err=True)
    if bad:
        if not as_json:
            click.echo(f"{bad} of {len(homes)} copies are bad", err=True)
        sys.exit(1)


@ledger.command("go-on")
@home_option
@click.option(
    "--without", multiple=True, required=True, metavar="NAME", help="A member that is gone for good."
)
def go_on(home: Home, without: tuple[str, ...]) -> None:
    """Have a keeper that was restored from a backup wait no longer for members that do not answer.

    What only they hold of the ledger is lost then; should one come back with it, it finds two histories.
    """
    with reach(home) as ask:
        awaited = ask(GoOn(without))["awaited"]
    click.echo(f"still waits for {', '.join(awaited)}" if awaited else "keeps the ledger again")


def _verdict(home: Home) -> dict[str, Any]:
    """Return what holds of one home's copy; whatever is wrong with this home, the others get theirs too."""
    verdict: dict[str, Any] = {"agent": home.path.resolve().name, "ok": False}
    try:
        missing = home.missing()
        if missing:
            return verdict | {"error": f"{home.path}: half a home, without {' and '.join(missing)}"}
        config = home.config()
        verdict["agent"] = config.agent.name
        seen = _seen(home)
        with closing(home.stored()) as store:
            verified = verify_store(store, fingerprint=bytes.fromhex(config.federation.charter), seen=seen)
    except BadEntry as error:
        return verdict | {"bad_entry": error.index, "error": str(error)}
    except (AgentError, BrokerError, LedgerError) as error:
        return verdict | {"error": str(error)}
    except OSError as error:
        return verdict | {"error": one_line(error)}
    if seen is None:
        return verdict | {"error": "no head seen: a tail that was cut off can't be noticed"}
    return verdict | {"ok": True, "entries": verified.head.size, "head": verified.head.hash.hex()}


def _seen(home: Home) -> Head | None:
    identity = home.identity()
    if not (home.path / JOURNAL).exists():
        return None
    with closing(home.journal(identity, read_only=True)) as journal:
        return seen_head(journal)


def _body(entry: ChainedEntry) -> dict[str, Any]:
    fields = read_entry(entry.signed)
    plain = to_plain(decode_body(fields.kind, fields.schema, fields.body))
    return plain if isinstance(plain, dict) else {"body": plain}


def _fields(entry: ChainedEntry) -> str:
    said = {name: value for name, value in _body(entry).items() if value not in (None, "", b"")}
    return "  ".join(f"{name} {_short(value)}" for name, value in said.items())


def _as_json(entry: ChainedEntry) -> dict[str, Any]:
    fields = read_entry(entry.signed)
    return {
        "index": entry.index,
        "time_ms": fields.time_ms,
        "author": fields.author,
        "author_seq": fields.author_seq,
        "kind": fields.kind,
        "body": {name: jsonable(value) for name, value in _body(entry).items()},
        "hash": entry.hash.hex(),
    }


def _short(value: Any) -> str:
    match value:
        case bytes():
            return value.hex()[:12]
        case float():
            return f"{value:.4g}"
        case dict():
            return "{" + ", ".join(f"{printable(key)}: {_short(item)}" for key, item in value.items()) + "}"
        case list() | tuple() if len(value) > 8:
            return f"[{len(value)} items]"
        case list() | tuple():
            return "[" + ", ".join(_short(item) for item in value) + "]"
        case str():
            return printable(value)
        case _:
            return str(value)
