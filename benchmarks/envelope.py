"""What does an envelope cost beyond its primitives?

    python -m benchmarks.envelope [--json FILE]

Seal + sign + verify + open of one message, beside the same bytes through the bare primitives: HPKE seal
and open, Ed25519 sign and verify, SHA-256 of the payload at either end. Both run in turn within one run, so that
whatever else the machine does hits both; medians of many small rounds. The bar is a ratio of 1.3 at 1 KB.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.report import Row, at_most, duration
from hansa.broker import Identity, open_message, seal_message

BAR = 1.3
SIZES = (1_024, 65_536, 1_000_000)  # body bytes
ROUNDS = 200
REPEATS = 5  # calls per timed round
NOW_MS = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Result:
    """Medians in µs per message, and their ratio."""

    body_bytes: int
    primitives_us: float
    envelope_us: float

    @property
    def ratio(self) -> float:
        """Envelope over primitives."""
        return self.envelope_us / self.primitives_us


def bare(body: bytes) -> Callable[[], None]:
    """Return the primitives alone, keys parsed beforehand."""
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    open_key = hpke.MLKEM768X25519PrivateKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())
    seal_key = open_key.public_key()
    sign_key = Ed25519PrivateKey.generate()
    verify_key = sign_key.public_key()
    info = bytes(200)  # about a header

    def call() -> None:
        sealed = suite.encrypt(body, seal_key, info)
        signature = sign_key.sign(info + hashlib.sha256(sealed).digest())
        verify_key.verify(signature, info + hashlib.sha256(sealed).digest())
        suite.decrypt(sealed, open_key, info)

    return call


def whole(body: bytes) -> Callable[[], None]:
    """Return the envelope's two functions."""
    alice, bob = Identity.generate("alice"), Identity.generate("bob")

    def call() -> None:
        frame = seal_message(
            alice,
            bob.public,
            federation="benchmark",
            session="job",
            incarnation=1,
            sequence=1,
            kind="horizontal-fedavg.Update",
            schema=1,
            sent_at_ms=NOW_MS,
            expires_at_ms=NOW_MS + 1,
            body=body,
        )
        open_message(frame, bob, federation="benchmark", lookup=lambda _: alice.public, now_ms=NOW_MS)

    return call


def measure(body_bytes: int, rounds: int) -> Result:
    """Time both in turn; the first call of each is not counted."""
    body = bytes(body_bytes)
    pair = bare(body), whole(body)
    times: tuple[list[float], list[float]] = ([], [])
    for call in pair:
        call()
    for _ in range(rounds):
        for call, record in zip(pair, times, strict=True):
            start = time.perf_counter()
            for _ in range(REPEATS):
                call()
            record.append((time.perf_counter() - start) / REPEATS * 1e6)
    return Result(body_bytes, median(times[0]), median(times[1]))


def run(quick: bool) -> list[Row]:
    """Measure for the common table; only the smallest size has a bar."""
    rows = []
    for result in (measure(size, ROUNDS // 10 if quick else ROUNDS) for size in SIZES):
        name = f"envelope, body of {result.body_bytes:,} B"
        ours, bare_ = (
            duration(result.envelope_us / 1e6),
            f"{duration(result.primitives_us / 1e6)} bare primitives",
        )
        if result.body_bytes == SIZES[0]:
            rows.append(at_most(name, ours, bare_, result.ratio, BAR, "seal + sign + verify + open"))
        else:
            rows.append(Row(name, ours, bare_, result.ratio))
    return rows


def main() -> None:
    """Print the table; with --json, write it too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.envelope", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"timed rounds per size ({ROUNDS})")
    options = parser.parse_args()
    results = [measure(size, options.rounds) for size in SIZES]
    print("envelope: seal + sign + verify + open, beside the same primitives bare")
    print(f"{'body':>12} {'primitives':>14} {'envelope':>12} {'ratio':>7}")
    for result in results:
        print(
            f"{result.body_bytes:>10} B {result.primitives_us:>11.0f} µs {result.envelope_us:>9.0f} µs "
            f"{result.ratio:>7.2f}"
        )
    verdict = "met" if results[0].ratio <= BAR else "MISSED"
    print(f"bar: at most {BAR} at {SIZES[0]} B: {verdict}")
    if options.json:
        rows = [{**asdict(result), "ratio": result.ratio} for result in results]
        options.json.write_text(json.dumps({"bar": BAR, "envelope": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
