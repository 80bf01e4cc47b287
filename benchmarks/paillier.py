"""How fast is Paillier, beside phe, sf-heu and the modular multiplications that it cannot do without?

    python -m benchmarks --only paillier

2048-bit keys, one core. Everything is in processor seconds, which a busy machine stretches less than the clock's,
and the best of several turns; ours and phe take turns within one process, sf-heu runs in its own environment just
before. The floor is the count of modular multiplications (tests tally it) times the cost of one, measured in the
same turns. Masks are made inside the timed region; their table, made once for each key, has a row of its own.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import phe

from benchmarks import heu_peer
from benchmarks.flower_peer import PeerUnavailable
from benchmarks.report import Row, at_least, at_most, duration
from hansa.protocols.crypto import multiexp
from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.decryption import decrypt_residues
from hansa.protocols.crypto.elements import flat, objects
from hansa.protocols.crypto.fixed import encode
from hansa.protocols.crypto.integers import random_unit
from hansa.protocols.crypto.interchange import to_phe_public, to_phe_secret
from hansa.protocols.crypto.keygen import generate_standard, generate_subgroup
from hansa.protocols.crypto.keys import SecretKey
from hansa.protocols.crypto.masks import FreshMasks, MaskTable, best_window, table_bytes
from hansa.protocols.crypto.packing import Packing

BITS = 2_048
ROWS, COLUMNS = 5_000, 20
FRACTION_BITS = (16, 23)
RESIDUAL = (30, 16.0)  # fractional bits and limit of what is encrypted
MADE_UP = (30, 2**40)  # fractional bits and bound of random ciphertexts that only cost time
FEATURE_LIMIT = 16.0
MASKS = 30_000  # what a table is made for: an epoch of 30,000 rows
PACKED_BOUND = 30_000 * 2**20 * 2**34  # rows × feature × residual: a gradient's

# The bars.
PRODUCT_GAIN, PRODUCT_FLOOR = 15.0, 1.3
ENCRYPT_STANDARD, ENCRYPT_SUBGROUP = 15.0, 30.0
DECRYPT_LEVEL = 0.95  # "level with phe"
DECRYPT_SUBGROUP, DECRYPT_SUBGROUP_HEU = 3.0, 2.0
PACKED_GAIN = 8.0

# What one call did, and on how many elements.
Timed = tuple[Callable[[], object], int]


@dataclass(frozen=True, slots=True)
class Bench:
    """The keys, a little data, and how often to repeat."""

    standard: SecretKey
    subgroup: SecretKey
    times: int


def best(contenders: Mapping[str, Timed], times: int) -> dict[str, float]:
    """Return the least processor seconds of each for an element, timed in turn."""
    least = dict.fromkeys(contenders, float("inf"))
    for _ in range(times):
        for name, (call, elements) in contenders.items():
            began = time.process_time()
            call()
            least[name] = min(least[name], (time.process_time() - began) / elements)
    return least


def multiplication(secret: SecretKey) -> Timed:
    """Return the bare modular multiplication that floors are counted in."""
    modulus = secret.public.n_squared
    pairs = [(_unit(secret), _unit(secret)) for _ in range(500)]

    def call() -> None:
        for a, b in pairs:
            a * b % modulus

    return call, len(pairs)


def _unit(secret: SecretKey) -> int:
    return random_unit(secret.public.n_squared, secrets.token_bytes)


def products(bench: Bench, fraction_bits: int, heu: heu_peer.Figures) -> list[Row]:
    """Xᵀ[[d]] beside phe, sf-heu and the floor."""
    public = bench.subgroup.public
    generator = np.random.default_rng(1)
    features = encode(generator.standard_normal((COLUMNS, ROWS)), fraction_bits, FEATURE_LIMIT)
    cipher = [_unit(bench.subgroup) for _ in range(ROWS)]
    residuals = EncryptedArray.from_ciphertexts(public, objects(cipher, (ROWS,)), *MADE_UP)
    theirs = [phe.EncryptedNumber(to_phe_public(public), int(each), 0) for each in cipher[:50]]
    integers, floats = features.integers[0, :50].tolist(), features.decoded()[0, :50].tolist()
    seconds = best(
        {
            "ours": (lambda: features @ residuals, ROWS * COLUMNS),
            "one": multiplication(bench.subgroup),
            "phe": (lambda: sum(c * x for c, x in zip(theirs, floats, strict=True)), len(floats)),
            "phe, integers": (
                lambda: sum(c * x for c, x in zip(theirs, integers, strict=True)),
                len(integers),
            ),
        },
        bench.times,
    )
    count = multiexp.count(features.integers) / (ROWS * COLUMNS)
    name = f"Xᵀ[[d]], {ROWS:,} × {COLUMNS}, {fraction_bits} fractional bits, for each element"
    ours, floor = seconds["ours"], count * seconds["one"]
    note = f"{count:.2f} multiplications of {duration(seconds['one'])} for each element"
    return [
        at_most(name, duration(ours), f"floor {duration(floor)}", ours / floor, PRODUCT_FLOOR, note),
        _gain(name, ours, "phe", seconds["phe"], PRODUCT_GAIN),
        Row(
            name,
            duration(ours),
            f"phe, given our integers: {duration(seconds['phe, integers'])}",
            seconds["phe, integers"] / ours,
            note="phe multiplies by a float as its documents do, with 53 bits of it or more; given integers of our "
            "fractional bits it is as fast as it can be, which is for information",
        ),
        _gain(name, ours, f"ZPaillier, {heu.source}", heu.product_s[fraction_bits], PRODUCT_GAIN),
    ]


def scores(bench: Bench) -> list[Row]:
    """X·[[w]]: many rows, few ciphertexts."""
    public = bench.subgroup.public
    features = encode(np.random.default_rng(2).standard_normal((ROWS, COLUMNS)), 16, FEATURE_LIMIT)
    cipher = objects((_unit(bench.subgroup) for _ in range(COLUMNS)), (COLUMNS,))
    weights = EncryptedArray.from_ciphertexts(public, cipher, *MADE_UP)
    seconds = best(
        {"ours": (lambda: features @ weights, ROWS * COLUMNS), "one": multiplication(bench.subgroup)},
        bench.times,
    )
    floor = multiexp.count(features.integers) / (ROWS * COLUMNS) * seconds["one"]
    name = f"X·[[w]], {ROWS:,} × {COLUMNS}, 16 fractional bits, for each element"
    ratio = seconds["ours"] / floor
    return [at_most(name, duration(seconds["ours"]), f"floor {duration(floor)}", ratio, PRODUCT_FLOOR)]


def encryption(bench: Bench, heu: heu_peer.Figures) -> list[Row]:
    """Encryption with masks made on the spot, and what their tables cost."""
    rows = []
    theirs = to_phe_public(bench.subgroup.public)
    values = encode(np.linspace(-8.0, 8.0, 100), *RESIDUAL)
    contenders: dict[str, Timed] = {"phe": (lambda: [theirs.encrypt(n) for n in range(5)], 5)}
    for secret in (bench.standard, bench.subgroup):
        kind, public = secret.public.kind.name.lower(), secret.public
        window = best_window(public, MASKS)
        began = time.process_time()
        table = MaskTable(public, window)
        made = time.process_time() - began
        masks = FreshMasks(table, secrets.token_bytes)
        contenders[kind] = (
            partial(EncryptedArray.encrypt, public, values, masks),
            values.integers.size,
        )
        memory = f"{table_bytes(public, window) / 2**20:.0f} MiB"
        rows.append(Row(f"table of masks, {kind} key, {window}-bit windows", f"{duration(made)}, {memory}"))
    seconds = best(contenders, bench.times * 2)
    standard, subgroup = seconds["standard"], seconds["subgroup"]
    return [
        _gain("encryption, standard key", standard, "phe", seconds["phe"], ENCRYPT_STANDARD),
        _gain("encryption, subgroup key", subgroup, "phe", seconds["phe"], ENCRYPT_SUBGROUP),
        _gain("encryption, subgroup key", subgroup, f"ZPaillier, {heu.source}", heu.encrypt_s, 1.0),
        *rows,
    ]


def decryption(bench: Bench, heu: heu_peer.Figures) -> list[Row]:
    """Decryption, and what packing makes of it."""
    contenders: dict[str, Timed] = {}
    for secret in (bench.standard, bench.subgroup):
        masks = FreshMasks(MaskTable(secret.public, 6), secrets.token_bytes)
        array = EncryptedArray.encrypt(secret.public, encode(np.linspace(-8.0, 8.0, 50), *RESIDUAL), masks)
        numbers = flat(array.ciphertexts)
        contenders[secret.public.kind.name.lower()] = (
            partial(decrypt_residues, secret, numbers),
            len(numbers),
        )
        theirs, sample = to_phe_secret(secret), [int(each) for each in numbers[:10]]
    contenders["phe"] = (lambda: [theirs.raw_decrypt(each) for each in sample], len(sample))
    seconds = best(contenders, bench.times * 2)
    standard, subgroup = seconds["standard"], seconds["subgroup"]
    return [
        _gain("decryption, standard key", standard, "phe", seconds["phe"], DECRYPT_LEVEL),
        _gain("decryption, subgroup key", subgroup, "phe", seconds["phe"], DECRYPT_SUBGROUP),
        _gain(
            "decryption, subgroup key",
            subgroup,
            f"ZPaillier, {heu.source}",
            heu.decrypt_s,
            DECRYPT_SUBGROUP_HEU,
        ),
        *packing(bench, bench.standard),
        *packing(bench, bench.subgroup),
    ]


def packing(bench: Bench, secret: SecretKey) -> list[Row]:
    """Gradients packed under encryption: at the arbiter, and with the packing at the party added."""
    public, kind = secret.public, secret.public.kind.name.lower()
    layout = Packing.of(public, PACKED_BOUND)
    masks = FreshMasks(MaskTable(public, 6), secrets.token_bytes)
    numbers = objects((index << 60 for index in range(2 * layout.slots)), (2 * layout.slots,))
    array = EncryptedArray.encrypt_integers(public, numbers, 0, PACKED_BOUND, masks)
    packed = layout.pack(array, masks)

    def opened() -> None:
        layout.unpack_integers(packed.decrypt_integers(secret).tolist(), array.size)

    seconds = best(
        {
            "single": (lambda: array.decrypt_integers(secret), array.size),
            "packed": (opened, array.size),
            "packing": (lambda: layout.pack(array, masks), array.size),
        },
        bench.times,
    )
    net = seconds["packed"] + seconds["packing"]
    single = f"one by one {duration(seconds['single'])}"
    size = f"{layout.slots} slots of {layout.slot_bits} bits, {kind} key, for each value"
    return [
        at_least(
            f"packed gradients at the arbiter, {size}",
            duration(seconds["packed"]),
            single,
            seconds["single"] / seconds["packed"],
            PACKED_GAIN,
        ),
        Row(
            f"packed gradients, packing included, {size}",
            duration(net),
            single,
            seconds["single"] / net,
            note=f"packing takes the party {duration(seconds['packing'])}, its share of a fresh mask included",
        ),
    ]


def keys(times: int) -> tuple[Bench, list[Row]]:
    """Make the keys, and report how long that took."""
    rows, made = [], []
    for generate in (generate_standard, generate_subgroup):
        seconds = []
        for _ in range(times):
            began = time.process_time()
            secret = generate(BITS, randomness=secrets.token_bytes)
            seconds.append(time.process_time() - began)
        made.append(secret)
        kind = secret.public.kind.name.lower()
        slowest = max(seconds)
        rows.append(
            at_most(
                f"{kind} key of {BITS} bits, slowest of {times}", duration(slowest), "60 s", slowest / 60, 1.0
            )
        )
    return Bench(made[0], made[1], times), rows


def _gain(name: str, ours: float, peer: str, theirs: float, bar: float) -> Row:
    return at_least(name, duration(ours), f"{peer}: {duration(theirs)}", theirs / ours, bar)


def peer_figures(quick: bool, fraction_bits: Sequence[int] = FRACTION_BITS) -> heu_peer.Figures:
    """Return sf-heu's figures, from this run where it can be installed."""
    try:
        return heu_peer.measure(60 if quick else 200, 2 if quick else 5, fraction_bits)
    except PeerUnavailable as reason:
        print(reason)
        return heu_peer.PUBLISHED


def run(quick: bool) -> list[Row]:
    """Measure for the common table."""
    heu = peer_figures(quick)
    bench, rows = keys(2 if quick else 5)
    for bits in FRACTION_BITS:
        rows += products(bench, bits, heu)
    rows += scores(bench) + encryption(bench, heu) + decryption(bench, heu)
    return rows
