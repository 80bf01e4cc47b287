"""Where does the passphrase of a key file come from? A file, systemd's credentials, or whoever sits there."""

import getpass
import os
import sys
from pathlib import Path

from hansa.agents.errors import HomeError, WrongPassphrase
from hansa.agents.home import IDENTITY, Home, read_secret
from hansa.broker import Identity

VARIABLE = "HANSA_PASSPHRASE_FILE"
CREDENTIALS = "CREDENTIALS_DIRECTORY"  # set by systemd, for LoadCredential=
CREDENTIAL = "hansa.passphrase"


def unlock(home: Home, file: Path | None = None) -> Identity:
    """Read a home's keys, with a passphrase if they need one.

    Args:
        file: holds the passphrase; otherwise the file that HANSA_PASSPHRASE_FILE names, then systemd's
            credential ``hansa.passphrase``, then whoever sits at the terminal.

    Raises:
        HomeError: no keys, or the passphrase's file is missing or lies open.
        WrongPassphrase: none, or not the right one.
    """
    return unlock_with(home, file)[0]


def unlock_with(home: Home, file: Path | None = None) -> tuple[Identity, bytes | None]:
    """Read a home's keys as `unlock` does; return the passphrase that they needed, too, or None."""
    try:
        return home.identity(), None
    except WrongPassphrase:
        passphrase = _kept(file)
        if passphrase is None:
            passphrase = _asked(home)
    secret = passphrase.encode()
    return home.identity(secret), secret


def _asked(home: Home) -> str:
    if not sys.stdin.isatty():
        raise WrongPassphrase(
            f"{home.path / IDENTITY} needs a passphrase: name its file with --passphrase-file or {VARIABLE}"
        ) from None
    return getpass.getpass(f"Passphrase of {home.path / IDENTITY}: ")


def _kept(file: Path | None) -> str | None:
    """Return the passphrase that lies in a file, if one is named here or by the surroundings."""
    named = os.environ.get(VARIABLE)
    if file is not None or named:
        return read_secret(file or Path(str(named)))
    folder = os.environ.get(CREDENTIALS)
    credential = Path(folder, CREDENTIAL) if folder else None
    if credential is None or not credential.exists():
        return None
    try:  # systemd sees to it that nobody else reads it; an access list makes the mode look otherwise
        return credential.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise HomeError(f"{credential}: {error.strerror}") from None
