"""Where does the passphrase of a key file come from? A file, systemd's credentials, or whoever sits there."""

import getpass
import os
import sys
from pathlib import Path

from hansa.agents.errors import WrongPassphrase
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
        HomeError: no keys, no passphrase, or a wrong one.
    """
    found = file or _named_file()
    if found is not None:
        return home.identity(read_secret(found).encode())
    try:
        return home.identity()
    except WrongPassphrase:
        if not sys.stdin.isatty():
            raise WrongPassphrase(
                f"{home.path / IDENTITY} needs a passphrase: name its file with --passphrase-file or {VARIABLE}"
            ) from None
    return home.identity(getpass.getpass(f"Passphrase of {home.path / IDENTITY}: ").encode())


def _named_file() -> Path | None:
    """Return the file that the surroundings name, if they do."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    folder = os.environ.get(CREDENTIALS)
    credential = Path(folder, CREDENTIAL) if folder else None
    return credential if credential is not None and credential.exists() else None
