"""Is what we ship what we wrote, and does every checker look at all of it?"""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("agents", "broker", "ledger", "protocols")


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in ROOMS]


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("hansa", *(part for part in parts if part != "__init__")))


def test_rooms_are_reached_through_relative_symlinks() -> None:
    for room in ROOMS:
        link = ROOT / "src" / "hansa" / room
        assert link.is_symlink()
        assert str(link.readlink()) == f"../../{room}"


def test_every_folder_with_modules_is_a_package() -> None:
    bare = {path.parent for path in sources()} - {
        path.parent for path in sources() if path.name == "__init__.py"
    }
    assert not bare


def test_the_type_checker_sees_every_source_file() -> None:
    from mypy.find_sources import create_source_list
    from mypy.options import Options

    options = Options()
    options.namespace_packages, options.explicit_package_bases = True, True
    options.mypy_path = [str(ROOT / "src")]
    seen = {source.module for source in create_source_list([str(ROOT / "src" / "hansa")], options)}
    assert {dotted(path) for path in sources()} <= seen


def test_the_import_linter_sees_every_source_file() -> None:
    import grimp

    graph = grimp.build_graph("hansa", cache_dir=None)
    assert {dotted(path) for path in sources()} <= graph.modules


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_unpickles_or_evaluates(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"} & set(names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}
        if isinstance(node, ast.keyword):
            assert not (node.arg == "allow_pickle" and getattr(node.value, "value", True))


def test_models_of_the_entry_points_load() -> None:
    points = {point.name: point for point in entry_points(group="hansa.models")}
    assert {"softmax", "mlp"} <= points.keys()
    assert all(callable(point.load()) for point in points.values())


def test_every_room_says_what_it_exports() -> None:
    for room in ROOMS:
        module = import_module(f"hansa.{room}")
        assert module.__doc__
        assert all(hasattr(module, name) for name in module.__all__)


def test_the_command_starts_quickly_enough_to_type() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from hansa.agents.cli import main; main(['--version'])"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("hansa, version")
    assert done.returncode == 0
