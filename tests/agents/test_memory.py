"""Freed memory is kept where the C library can be asked to, and nothing happens elsewhere."""

from typing import Any

import pytest

from hansa.agents import memory

ask = memory.keep_freed_memory.__wrapped__  # without its cache


class Library:
    """A C library that notes what it is asked."""

    def __init__(self, answer: int) -> None:
        self.asked: dict[int, int] = {}
        self._answer = answer

    def mallopt(self, parameter: int, value: int) -> int:
        self.asked[parameter] = value
        return self._answer


def test_it_is_asked_once() -> None:
    assert memory.keep_freed_memory() is memory.keep_freed_memory()
    assert memory.keep_freed_memory.cache_info().misses == 1


@pytest.mark.parametrize("answer", [0, 1])
def test_the_c_library_is_asked_to_keep_so_much(monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    library = Library(answer)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    assert ask() is bool(answer)
    assert library.asked[memory.M_MMAP_THRESHOLD] <= 32 * 2**20
    if answer:
        assert library.asked[memory.M_TRIM_THRESHOLD] == memory.KEPT_BYTES


def missing(name: Any) -> Any:
    raise OSError("no C library")


@pytest.mark.parametrize(
    ("platform", "loader"),
    [("linux", missing), ("linux", lambda name: object()), ("darwin", missing), ("win32", missing)],
    ids=["no library", "no mallopt", "macOS", "Windows"],
)
def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, platform: str, loader: Any) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("ctypes.CDLL", loader)
    assert ask() is False
