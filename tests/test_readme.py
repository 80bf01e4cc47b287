"""The README's walk, typed as it stands: every line of its terminals, against a broker of the tests' own."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hansa.agents.cli import main
from tests import servers

ROOT = Path(__file__).parent.parent
SECTION = "## Between organisations"
VERTICAL = "## Vertical: a bank and a shop"
PATIENCE_S = 120.0  # on a machine that is busy with other tests

Terminal = "subprocess.Popen[str]"


def blocks(section: str) -> list[str]:
    """Return the shell blocks of a walk."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split(section)[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


class Room:
    """Terminals in one folder, whose broker stands elsewhere than the README's."""

    def __init__(self, folder: Path, node: servers.Node) -> None:
        self._folder = folder
        self._node = node
        self._terminals: list[subprocess.Popen[str]] = []
        shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")

    def open(self, block: str) -> Path:
        """Type a block into a new terminal; return where what it shows is written."""
        lines = block.replace("127.0.0.1:5672", f"127.0.0.1:{self._node.port}")
        lines = lines.replace("127.0.0.1:15672", f"127.0.0.1:{self._node.management_port}")
        # An admission asks whether the fingerprint was compared.
        lines = re.sub(r"(hansa federation admit \w+)", r"yes | \1", lines)
        screen = self._folder / f"terminal-{len(self._terminals) + 1}"
        with screen.open("w") as output:
            self._terminals.append(
                subprocess.Popen(
                    ["bash", "-e", "-c", lines],
                    cwd=self._folder,
                    env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
            )
        return screen

    def finish(self, screen: Path) -> str:
        """Wait until the last terminal is done; return what it showed."""
        code = self._terminals[-1].wait(PATIENCE_S)
        shown = screen.read_text()
        assert code == 0, shown
        return shown

    def wait_for(self, screen: Path, words: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while words not in screen.read_text():
            assert time.monotonic() < deadline, f"{words!r} never came:\n{screen.read_text()}"
            time.sleep(0.05)

    def close(self) -> None:
        """Stop the agents as a person would, and see them go."""
        for home in sorted(path.parent for path in self._folder.glob("*/agent.toml")):
            CliRunner().invoke(main, ["agent", "stop", "--home", str(home)])
        for terminal in self._terminals:
            try:
                terminal.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(terminal.pid, 9)
                terminal.wait()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    node = servers.start(tmp_path / "broker")  # its own: the README's names are other tests' too
    room = Room(tmp_path, node)
    yield room
    room.close()
    node.kill()


def test_the_walk_of_the_readme_works_as_it_stands(room: Room) -> None:
    coordinator, *parties, coordinator_again, anybody = blocks(SECTION)
    assert len(parties) == 3
    first = room.open(coordinator)
    room.wait_for(first, "connected to the broker")
    screens = [room.open(party) for party in parties]
    for screen in screens:
        room.wait_for(screen, "waits for a person there")
    shown = room.finish(room.open(coordinator_again))
    assert "digits-1: finished after 30 rounds" in shown
    for screen in screens:
        assert "registered" in screen.read_text()
    shown = room.finish(room.open(anybody))
    assert "north: ledger verified:" in shown
    assert "✗" not in shown


def test_the_walk_of_a_bank_and_a_shop_works_as_it_stands(room: Room, tmp_path: Path) -> None:
    example = tmp_path / "docs" / "examples" / "vertical-logistic.toml"
    quick = "epochs = 8\nguard = false\nkey_bits = 512"  # as it stands it takes a minute on a busy machine
    example.write_text(example.read_text().replace("epochs = 20", quick))
    arbiter, bank, shop, admission, jobs, bank_again = blocks(VERTICAL)
    unguarded = "sed -i 's/^unguarded = false/unguarded = true/'"
    bank, shop = (
        block.replace("hansa agent run", f"{unguarded} {home}/agent.toml\nhansa agent run")
        for block, home in ((bank, "harbour-bank"), (shop, "corner-shop"))
    )
    first = room.open(arbiter)
    room.wait_for(first, "connected to the broker")
    screens = [room.open(party) for party in (bank, shop)]
    for screen in screens:
        room.wait_for(screen, "waits for a person there")
    room.finish(room.open(admission))
    for screen in screens:
        room.wait_for(screen, "connected to the broker")
    shown = room.finish(room.open(jobs))
    assert re.search(r"align-1: finished: 4\d\d rows in common", shown)
    assert re.search(r"risk-1: finished after \d+ epochs: AUC (0\.9|1\.0)", shown), shown
    shown = room.finish(room.open(bank_again))
    assert len(re.findall(r"^customer-\d+,(?:benign|malignant)$", shown, re.MULTILINE)) == 8
    assert "not known to all who are asked: customer-" in shown
    assert "bank: ledger verified:" in shown
