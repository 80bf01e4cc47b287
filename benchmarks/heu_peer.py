"""How fast is the best-known vectorised Paillier, sf-heu's ZPaillier?

sf-heu (Apache-2.0, in C++) is what SecretFlow computes with. It lives in a virtual environment of its own,
`.venv-heu`, made on demand with an exact version; hansa never imports it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.flower_peer import PeerUnavailable, last_line
from benchmarks.report import ROOT

REQUIREMENTS = ("sf-heu==0.5.2b0",)
VENV = ROOT / ".venv-heu"
SCRIPT = Path(__file__).parent / "peer" / "heu_paillier.py"
INSTALL_S = 600.0
RUN_S = 300.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Processor seconds for each element, 2048 bits.

    Attributes:
        encrypt_s, decrypt_s: one number.
        product_s: one element of X in Xᵀ[[d]], by fractional bits.
        source: the version, or where the figures were published.
    """

    encrypt_s: float
    decrypt_s: float
    product_s: Mapping[int, float]
    source: str


# Where it can't be installed: measured on another machine, in a project note, one core.
PUBLISHED = Figures(287e-6, 1_510e-6, {16: 319e-6, 23: 319e-6}, "as published, not in this run")


def measure(rows: int, columns: int, fraction_bits: Sequence[int]) -> Figures:
    """Run the peer once, in a process of its own.

    Raises:
        PeerUnavailable: it can't be installed, or fails.
    """
    sizes = ["--rows", str(rows), "--columns", str(columns)]
    bits = ["--fraction-bits", *map(str, fraction_bits)]
    output = _finish([str(_environment()), str(SCRIPT), *sizes, *bits], RUN_S)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise PeerUnavailable("sf-heu printed no figures")
    figures = json.loads(lines[-1])
    products = {int(name): float(seconds) for name, seconds in figures["product_s"].items()}
    return Figures(
        float(figures["encrypt_s"]), float(figures["decrypt_s"]), products, f"sf-heu {figures['version']}"
    )


def _environment() -> Path:
    python = VENV / "bin" / "python"
    try:
        _finish([str(python), "-c", "import heu.numpy"], 60.0)
    except PeerUnavailable:
        print(f"Installing {REQUIREMENTS[0]} into {VENV.name} (once) ...", file=sys.stderr, flush=True)
        _finish([sys.executable, "-m", "venv", "--clear", str(VENV)], INSTALL_S)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _finish([*pip, *REQUIREMENTS], INSTALL_S)
    return python


def _finish(command: Sequence[str], limit_s: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerUnavailable(f"sf-heu: {type(error).__name__}") from None
    if done.returncode != 0:
        raise PeerUnavailable(f"sf-heu: {last_line(done.stderr or done.stdout)}")
    return done.stdout
