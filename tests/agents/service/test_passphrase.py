"""Where the passphrase of an agent's keys is found."""

import getpass
import io
import sys
from pathlib import Path

import pytest

from hansa.agents.errors import HomeError, WrongPassphrase
from hansa.agents.home import Home
from hansa.agents.service.passphrase import unlock
from hansa.agents.template import new_config
from hansa.broker import Identity

PHRASE = "correct horse"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("locked") / "north"
    return Home.create(
        folder, Identity.generate("north"), new_config("north", "", ("party",)), PHRASE.encode()
    )


def secret(path: Path, text: str = PHRASE) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_a_file_that_is_named_comes_first(
    locked: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANSA_PASSPHRASE_FILE", str(secret(tmp_path / "other", "wrong")))
    assert unlock(locked, secret(tmp_path / "right")).name == "north"
    with pytest.raises(WrongPassphrase):
        unlock(locked)


def test_systemd_hands_it_over(locked: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(WrongPassphrase, match="needs a passphrase"):
        unlock(locked)  # the unit has other credentials
    secret(tmp_path / "hansa.passphrase").chmod(0o440)  # as an access list makes it look
    assert unlock(locked).name == "north"
    (tmp_path / "hansa.passphrase").unlink()
    (tmp_path / "hansa.passphrase").mkdir()
    with pytest.raises(HomeError, match=r"hansa\.passphrase: Is a directory"):
        unlock(locked)


def test_whoever_sits_at_the_terminal_is_asked(locked: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda prompt: PHRASE)
    assert unlock(locked).name == "north"


def test_keys_without_a_passphrase_need_none(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "n", Identity.generate("north"), new_config("north", "", ("party",)))
    assert unlock(home).name == "north"
