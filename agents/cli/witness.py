"""`hansa ledger checkpoints` and `evidence`: whose names stand under which head, and who signed two histories?"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hansa.agents.care.checkpoints import HeadLine, head_lines, not_final_since
from hansa.agents.cli.options import first_whole, folder_argument
from hansa.agents.home import Home
from hansa.agents.service.logs import printable
from hansa.broker import BrokerError, decode
from hansa.broker.codec import Limits
from hansa.broker.envelope import MAX_FRAME_BYTES
from hansa.ledger import (
    BadNote,
    BadProof,
    ChainedEntry,
    LedgerStore,
    MalformedEntry,
    Standing,
    Verifier,
    read_entry,
)
from hansa.ledger.evidence import Evidence, ForkEvidence, read_evidence


def _standing(home: Home, store: LedgerStore) -> Standing:
    """Return what a copy amounts to; BadEntry if it does not hold together."""
    federation = home.config().federation
    verifier = Verifier(bytes.fromhex(federation.charter), federation.id)
    for entry in store.read():
        verifier.accept(entry, signatures=False)
    return verifier.standing


# --- checkpoints ----------------------------------------------------------------------------------------
@click.command()
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def checkpoints(folder: Path, as_json: bool) -> None:
    """List who cosigned which head of the ledger in FOLDER, and when; the newest last."""
    home = first_whole(folder)
    with closing(home.stored()) as store:
        lines = list(head_lines(store, _standing(home, store)))
        final = max((each for each in lines if each.final_s is not None), key=_size, default=None)
        since_s = not_final_since(store, final)
    if as_json:
        for line in lines:
            click.echo(json.dumps(_as_json(line)))
        return
    click.echo(f"{home.path / 'ledger.sqlite'} (times are UTC)")
    width = max((len(each.checkpoint.keeper) for each in lines), default=0)
    for line in lines:
        click.echo(_in_words(line, width, 0 if final is None else final.checkpoint.size))
    click.echo(_verdict(lines, final, since_s))


def _size(line: HeadLine) -> int:
    return line.checkpoint.size


def _in_words(line: HeadLine, width: int, final_size: int) -> str:
    head = line.checkpoint
    if line.final_s is not None:
        state = f"final since {_when(line.final_s)}"
    elif line.place == "held" and head.size <= final_size:  # no name is waited for any more
        state = f"covered by the final {final_size}"
    else:
        state = line.lacks
    names = ", ".join(f"{each.member} {_when(each.time_s)}" for each in line.cosigned) or "nobody"
    return (
        f"{head.size:>6} entries  root {head.root.hex()[:16]}  epoch {head.epoch} {head.keeper:<{width}}"
        f"  {state}; cosigned by {names}"
    )


def _verdict(lines: list[HeadLine], final: HeadLine | None, since_s: float | None) -> str:
    covered = 0 if final is None else final.checkpoint.size
    newest = max((each for each in lines if each.place == "held"), key=_size, default=None)
    if since_s is None:
        return f"final: all {covered} entries"
    if newest is None:
        return f"not final since {_when(since_s)}: no head has been signed yet"
    if newest.checkpoint.size > covered:
        return f"not final since {_when(since_s)}: {newest.lacks}"
    return f"final: the first {covered} entries; the newest wait for the next checkpoint"


def _as_json(line: HeadLine) -> dict[str, Any]:
    head = line.checkpoint
    return {
        "size": head.size,
        "epoch": head.epoch,
        "root": head.root.hex(),
        "keeper": head.keeper,
        "cosigners": [{"member": each.member, "time_s": each.time_s} for each in line.cosigned],
        "needed": line.needed,
        "waiting": list(line.waiting),
        "final": line.final_s is not None,
        "final_since_s": line.final_s,
        "in_our_copy": line.place,
    }


def _when(at_s: float) -> str:
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a cosigner's clock may say anything up to 2^63
        return f"second {at_s:.0f}"


# --- evidence -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Piece:
    """One piece of evidence, checked again.

    Attributes:
        sound: whether it proves what it is kept for.
        words: what it proves, or why it proves nothing.
        shown: what was signed, verbatim where it is text.
    """

    kind: str
    sound: bool
    words: str
    shown: tuple[str, ...]


@click.command()
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def evidence(folder: Path, as_json: bool) -> None:
    """Show what proves that somebody has signed two histories, or two messages under one number.

    Exits with 1 if there is any.
    """
    home = first_whole(folder)
    with closing(home.stored()) as store:
        pieces = list(_pieces(store, _standing(home, store)))
    for piece in pieces:
        if as_json:
            fields = {"kind": piece.kind, "sound": piece.sound, "says": piece.words}
            click.echo(json.dumps(fields | {"signed": list(piece.shown)}))
            continue
        click.echo(
            f"{piece.kind}: {piece.words}" if piece.sound else f"{piece.kind}: NO PROOF: {piece.words}"
        )
        for number, signed in enumerate(piece.shown, 1):
            click.echo(f"  signed, {number} of {len(piece.shown)}:")
            for line in signed.rstrip("\n").split("\n"):
                click.echo(f"    {line}")
    if pieces:
        sys.exit(1)
    if not as_json:
        click.echo("none: nobody is known to have signed two histories")


def _pieces(store: LedgerStore, standing: Standing) -> Iterator[_Piece]:
    keepers = {roster.epoch: roster.keeper for _, roster in standing.rosters}
    for kind, content in store.evidence():
        if kind == "equivocation":
            yield _equivocation(content)
            continue
        try:
            found = read_evidence(content)
        except BadProof as error:
            yield _Piece(kind, False, str(error), ())
            continue
        try:
            words, sound = found.check(standing.head_checkpoint().origin, keepers.get), True
        except (BadNote, BadProof) as error:
            words, sound = str(error), False
        yield _Piece(kind, sound, words, _shown(found))


def _shown(found: Evidence) -> tuple[str, ...]:
    match found:
        case ForkEvidence(first, second):
            return printable_note(first), printable_note(second)
        case _:
            return _entry(found.first), _entry(found.second)


def printable_note(note: bytes) -> str:
    """Return a note as it stands, but for what a terminal would take for commands."""
    return "\n".join(printable(line) for line in note.decode("utf-8", "replace").split("\n"))


def _entry(entry: ChainedEntry) -> str:
    try:
        fields = read_entry(entry.signed)
        said = f"{fields.kind} by {printable(fields.author)}, its number {fields.author_seq}"
    except MalformedEntry:
        said = "no entry of ours"
    return (
        f"entry {entry.index}: {said}\nhash      {entry.hash.hex()}"
        f"\nprevious  {entry.previous.hex()}\nreceipt   {entry.receipt.hex()}"
    )


def _equivocation(content: bytes) -> _Piece:
    try:
        match decode(content, Limits(message_bytes=2 * MAX_FRAME_BYTES)):
            case [str(sender), str(session), int(number), bytes(first), bytes(second), bytes(frame)]:
                words = f"{printable(sender)} signed two messages {number} in session {printable(session)!r}"
                kept = f"SHA-256 of what was signed: {second.hex()}\nthe message, {len(frame)} bytes, is kept"
                return _Piece(
                    "equivocation", True, words, (f"SHA-256 of what was signed: {first.hex()}", kept)
                )
    except BrokerError as error:
        return _Piece("equivocation", False, str(error), ())
    return _Piece("equivocation", False, "not as this version keeps it", ())
