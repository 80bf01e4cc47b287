"""Where does a demo leave what it made, and how does one look at it?"""

import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape

from hansa.agents.errors import AgentError
from hansa.agents.home import find_homes
from hansa.agents.local import LocalFederation, Member
from hansa.ledger.contribution import VOLUME

MARKER = ".hansa-demo"  # lies in a demo's folder before anything else does
FOUNDING = ".founding"  # where the homes lie until all of them are made


def clear(folder: Path, replace: bool, agents: Iterable[str]) -> None:
    """Remove an earlier demo's folder with the homes of these agents, and nothing else."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not replace:
        raise AgentError(f"{folder}: not empty; choose another --folder, or --replace an earlier demo")
    if not (folder / MARKER).is_file():
        raise AgentError(f"{folder}: not an earlier demo's folder (no {MARKER} in it); nothing removed")
    strangers = sorted({path.name for path in folder.iterdir()} - {MARKER, FOUNDING, *agents})
    if strangers:
        raise AgentError(f"{folder}: not an earlier demo's folder ({strangers[0]}); nothing removed")
    for path in folder.iterdir():
        if path.name != MARKER:  # it stays, so that a removal cut short can be taken up again
            shutil.rmtree(path)


def found(
    folder: Path, members: Sequence[Member], federation: str, leader: str, purpose: str
) -> LocalFederation:
    """Found a federation in a folder that says from the first moment whose it is, and start its agents."""
    make_homes(folder, members, federation, leader, purpose)
    return LocalFederation.open(folder)


def make_homes(
    folder: Path,
    members: Sequence[Member],
    federation: str,
    leader: str,
    purpose: str,
    contribution: str = VOLUME,
    utility: Literal["score", "loss"] = "score",
) -> None:
    """Found a federation likewise; its agents are not at work afterwards.

    Args:
        contribution, utility: as in `hansa.ledger.Charter`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MARKER).touch()
    founding = folder / FOUNDING
    with LocalFederation.found(
        members,
        federation=federation,
        folder=founding,
        aggregator=leader,
        purpose=purpose,
        contribution=contribution,
        utility=utility,
    ):
        pass
    for home in find_homes(founding):
        home.path.rename(folder / home.path.name)
    founding.rmdir()


def command() -> str:
    """Return how `hansa` is called from here: by its name, or by its path where the shell doesn't know it."""
    installed = Path(sys.prefix, "bin", "hansa")
    if shutil.which("hansa") or not installed.exists():
        return "hansa"
    here = Path.cwd()
    return str(installed.relative_to(here) if installed.is_relative_to(here) else installed)


def print_farewell(console: Console, folder: Path, victim: str) -> None:
    """Say where the homes are, and what to try with them."""
    shown, typed = escape(str(folder)), escape(shlex.quote(str(folder)))
    hansa = escape(shlex.quote(command()))
    console.print(
        f"\nLeft in [bold]{shown}[/]: the homes of all agents, each with its copy of the ledger. Try:\n"
        f"  {hansa} ledger show {typed} --last 12\n"
        f"  {hansa} ledger verify {typed}\n"
        f"Then change any byte of an entry in {shown}/{victim}/ledger.sqlite, and verify again.",
        highlight=False,
        soft_wrap=True,
    )
