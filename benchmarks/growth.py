"""How does the time of a vertical epoch grow with rows, features, hosts and the key?

    python -m benchmarks --only growth --out growth.md

Every point is a whole first epoch of logistic regression, run for this figure, tables of masks included, all roles
on the cores of this machine; none is extrapolated. One size grows at a time. The exponent is the slope of a line
through the logarithms, by least squares: 1 is proportional growth, and less is what is paid once and not again for
every row or column. The drawing shows the same points and lines.
"""

import os
import time
from collections.abc import Iterator, Sequence

from benchmarks.growth_curve import Curve, Series, Size
from benchmarks.growth_plot import draw
from benchmarks.report import Row, Section, duration, median_of
from benchmarks.vertical import BANK, KeyName, key_pair, made_up
from benchmarks.vertical_drive import drive, workers
from hansa.protocols.vertical import LogisticSettings
from hansa.protocols.vertical.rehearsal import rehearse
from hansa.protocols.vertical.tasks import MAKE_KEY, KeyPair

SHORT_S, SHORT_TURNS = 1.0, 3  # an epoch as short as this is run so often
LEAST_GUARDED_BITS = 2_048


ROWS, ROWS_QUICK = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000), (300, 600)
COLUMNS, COLUMNS_QUICK = (5, 10, 20, 50, 100, 200), (3, 6)
HOSTS, HOSTS_QUICK = (1, 2, 4, 8), (1, 2)
KEY_BITS, KEY_BITS_QUICK = (1_024, 2_048, 3_072, 4_096), (1_024, 2_048)


def every_series(quick: bool) -> list[Series]:
    """Return what is measured: on two idle cores about three minutes, of which 300,000 rows take one."""
    rows, columns, hosts, bits = (
        (ROWS_QUICK, COLUMNS_QUICK, HOSTS_QUICK, KEY_BITS_QUICK)
        if quick
        else (ROWS, COLUMNS, HOSTS, KEY_BITS)
    )
    few = 300 if quick else 3_000
    fewest = 300 if quick else 1_000
    return [
        Series("rows", "3 + 3 features, subgroup key of 2,048 bits", {n: Size(n, 3) for n in rows}),
        Series(
            "features of each party",
            f"{few:,} rows, subgroup key of 2,048 bits",
            {n: Size(few, n) for n in columns},
        ),
        Series(
            "hosts",
            f"{few:,} rows, 5 features each, subgroup key of 2,048 bits",
            {n: Size(few, 5, n) for n in hosts},
        ),
        Series(
            "bits of the key",
            f"{fewest:,} rows, 5 + 5 features, standard keys",
            {n: Size(fewest, 5, key="standard", key_bits=n) for n in bits},
        ),
    ]


def epoch_s(size: Size, pair: KeyPair) -> float:
    """Run one epoch in new processes, several times if it is short, and return the median, in seconds."""
    widths = {BANK: size.columns} | {f"host {number}": size.columns for number in range(size.hosts)}
    columns, y = made_up(size.rows, widths)
    settings = LogisticSettings(
        BANK,
        epochs=1,
        key=size.key,
        key_bits=size.key_bits,
        holdout=0.0,
        guard=size.key_bits >= LEAST_GUARDED_BITS,
    )
    job = rehearse(columns, y, settings)
    runs: list[float] = []
    while len(runs) < (SHORT_TURNS if runs and runs[0] < SHORT_S else 1):
        with workers(os.cpu_count() or 1, job.benches) as pool:
            runs.append(drive(pool, job, {MAKE_KEY: pair}).epoch_s(0))
    return median_of(runs).median_s


def measure(series: Sequence[Series]) -> list[Curve]:
    """Measure all series, with one key of each kind and length."""
    pairs: dict[tuple[KeyName, int], KeyPair] = {}
    curves = []
    for each in series:
        seconds = []
        for size in each.sizes.values():
            wanted = size.key, size.key_bits
            pair = pairs.get(wanted) or pairs.setdefault(wanted, key_pair(*wanted))
            seconds.append(epoch_s(size, pair))
        curves.append(Curve(each, seconds))
    return curves


def curve_rows(curve: Curve) -> Iterator[Row]:
    """Yield the exponent, then the points, each with its ratio to the one before."""
    what = curve.series.what
    yield Row(
        f"epoch against {what}",
        f"exponent {curve.exponent:.2f}",
        f"between the last two {curve.last_exponent:.2f}",
        note=f"{curve.series.fixed}; all points measured",
    )
    before: float | None = None
    for number, seconds in zip(curve.numbers, curve.seconds, strict=True):
        ratio = None if before is None else seconds / before
        yield Row(f"{what}: {number:,}", duration(seconds), ratio=ratio)
        before = seconds


def run(quick: bool) -> Section:
    """Return the rows and the drawing for `python -m benchmarks`."""
    began = time.perf_counter()
    curves = measure(every_series(quick))
    took = Row("all of it, pools and keys included", duration(time.perf_counter() - began))
    rows = [row for curve in curves for row in curve_rows(curve)]
    return Section([*rows, took], [draw(curves)])
