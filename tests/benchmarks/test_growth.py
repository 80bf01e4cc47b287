"""The growth suite: exponents that are known, and a drawing that is one."""

import pytest

from benchmarks import growth
from benchmarks.growth import curve_rows, every_series
from benchmarks.growth_curve import Curve, Series, Size, fitted
from benchmarks.growth_plot import draw
from benchmarks.report import Section
from benchmarks.vertical import key_pair
from hansa.protocols.vertical.tasks import KeyPair

PNG = b"\x89PNG\r\n\x1a\n"


def series(numbers: tuple[int, ...]) -> Series:
    return Series("rows", "3 + 3 features", {number: Size(number, 3) for number in numbers})


def test_the_exponent_of_a_power_is_found() -> None:
    numbers = [10, 100, 1_000]
    exponent, factor = fitted(numbers, [0.5 * number**1.5 for number in numbers])
    assert exponent == pytest.approx(1.5)
    assert factor == pytest.approx(0.5)


def test_what_is_paid_once_shows_between_the_last_two_points_least() -> None:
    curve = Curve(series((10, 100, 1_000)), [1.1, 2.0, 11.0])
    assert curve.exponent < curve.last_exponent < 1.0


def test_rows_tell_the_exponent_and_every_point() -> None:
    first, *points = curve_rows(Curve(series((10, 100)), [0.1, 1.0]))
    assert first.measured == "exponent 1.00"
    assert "all points measured" in first.note
    assert [(row.name, row.measured, row.ratio) for row in points] == [
        ("rows: 10", "100 ms", None),
        ("rows: 100", "1.00 s", 10.0),
    ]


@pytest.mark.parametrize("quick", [True, False])
def test_one_size_grows_at_a_time(quick: bool) -> None:
    for each in every_series(quick):
        assert list(each.sizes) == sorted(each.sizes)
        differing = [
            {getattr(size, name) for size in each.sizes.values()} for name in Size.__dataclass_fields__
        ]
        assert sorted(map(len, differing)) == [1, 1, 1, 1, len(each.sizes)]


def test_a_short_epoch_is_run_again_and_keys_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int]] = []

    def making(kind: str, bits: int) -> KeyPair:
        made.append((kind, bits))
        return KeyPair(b"", b"")

    monkeypatch.setattr(growth, "key_pair", making)
    monkeypatch.setattr(growth, "epoch_s", lambda size, pair: size.rows / 100)
    [curve] = growth.measure([series((10, 100))])
    assert curve.seconds == [0.1, 1.0]
    assert made == [("subgroup", 2_048)]


def test_a_point_is_an_epoch_that_was_run() -> None:
    size = Size(12, 1, hosts=2, key="standard", key_bits=512)
    assert 0 < growth.epoch_s(size, key_pair("standard", 512)) < 60


def test_the_drawing_names_every_exponent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "key_pair", lambda *_: KeyPair(b"", b""))
    monkeypatch.setattr(
        growth, "epoch_s", lambda size, pair: size.rows * size.columns * size.hosts * size.key_bits / 1e6
    )
    section = growth.run(quick=True)
    assert isinstance(section, Section)
    [figure] = section.figures
    assert figure.png.startswith(PNG)
    assert figure.caption.count("1.00") == 4
    assert draw([Curve(series((10, 100)), [0.1, 1.0])]).png.startswith(PNG)
    assert section.rows[-1].name.startswith("all of it")
