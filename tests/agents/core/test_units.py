"""The systemd unit: what it promises the daemon and asks of it."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[3] / "docker" / "systemd"


def read(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(SYSTEMD / name)
    return unit


def test_the_unit_starts_reloads_and_watches_the_daemon() -> None:
    service = read("hansa-agent@.service")["Service"]
    assert service["Type"] == "notify"
    assert "hansa agent run --home /var/lib/hansa/%i" in service["ExecStart"]
    assert "-HUP $MAINPID" in service["ExecReload"]
    assert int(service["WatchdogSec"]) > 0
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "3")
    assert service["TimeoutStartSec"] == "infinity"  # ready means connected; a broker may be away for long


def test_the_unit_leaves_the_agent_its_home_and_little_else() -> None:
    service = read("hansa-agent@.service")["Service"]
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert service[key] == "yes", key
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == "/var/lib/hansa/%i"
    assert service["UMask"] == "0077"
    assert service["CapabilityBoundingSet"] == ""
    assert read("passphrase.conf")["Service"]["LoadCredential"].startswith("hansa.passphrase:")


@pytest.mark.parametrize("drop_in", [False, True])
def test_systemd_finds_no_fault_with_the_unit(drop_in: bool, tmp_path: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        return  # a machine without systemd; the others have read the file
    unit = tmp_path / "hansa-agent@north.service"
    shutil.copy(SYSTEMD / "hansa-agent@.service", unit)
    if drop_in:
        (tmp_path / f"{unit.name}.d").mkdir()
        shutil.copy(SYSTEMD / "passphrase.conf", tmp_path / f"{unit.name}.d")
    done = subprocess.run([verifier, "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
