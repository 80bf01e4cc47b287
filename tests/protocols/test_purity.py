"""Machines reach for no socket, clock, thread or file; nor does importing them cost scikit-learn."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hansa.protocols

ROOM = Path(hansa.protocols.__file__).parent
OUTSIDE = {
    *("asyncio", "concurrent", "datetime", "io", "multiprocessing", "os", "pathlib", "secrets", "selectors"),
    *("shutil", "signal", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "uuid"),
    *("pickle", "marshal", "shelve"),
}
ALLOWED = {  # no machine, but the heavy work that a task does
    "torch_module.py": {"threading"},  # models take turns at the process's one source of random numbers
}
BUILTINS = {"open", "eval", "exec", "compile", "__import__"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


@pytest.mark.parametrize(
    "path", sorted(ROOM.rglob("*.py")), ids=lambda path: path.relative_to(ROOM).as_posix()
)
def test_a_module_reaches_for_nothing_outside(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not (OUTSIDE - ALLOWED.get(path.name, set())) & {name.split(".")[0] for name in imported(tree)}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not BUILTINS & called


def test_importing_the_room_does_not_import_scikit_learn() -> None:
    code = "import sys, hansa.protocols; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
