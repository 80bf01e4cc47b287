"""Time sf-heu's ZPaillier on one core; runs in its own virtual environment, prints JSON.

.venv-heu/bin/python benchmarks/peer/heu_paillier.py --rows 200 --columns 5 --fraction-bits 16
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import numpy as np
from heu import numpy as hnp  # type: ignore[import-not-found]
from heu import phe

BITS = 2_048


def best(call: Callable[[], object], times: int) -> float:
    """Return the least processor seconds of several calls."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return min(seconds)


def main() -> None:
    """Run once and print seconds per element."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--fraction-bits", type=int, nargs="+", required=True)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    kit = hnp.setup(phe.SchemaType.ZPaillier, BITS)
    encryptor, decryptor, evaluator = kit.encryptor(), kit.decryptor(), kit.evaluator()
    generator = np.random.default_rng(1)
    rows, columns, times = options.rows, options.columns, options.times
    plain = kit.array(generator.integers(-(2**30), 2**30, rows))
    encrypted = encryptor.encrypt(plain)
    products = {}
    for bits in options.fraction_bits:
        features = np.rint(generator.standard_normal((columns, rows)) * 2.0**bits).astype(np.int64)
        matrix = kit.array(features)
        seconds = best(partial(evaluator.matmul, matrix, encrypted), times)
        products[str(bits)] = seconds / (rows * columns)
    figures = {
        "encrypt_s": best(lambda: encryptor.encrypt(plain), times) / rows,
        "decrypt_s": best(lambda: decryptor.decrypt(encrypted), times) / rows,
        "product_s": products,
        "version": version("sf-heu"),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
