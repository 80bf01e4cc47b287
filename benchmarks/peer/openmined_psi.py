"""Time openmined-psi on two made-up lists of ids; runs in its own virtual environment, prints JSON.

.venv-psi/bin/python benchmarks/peer/openmined_psi.py --ids 20000
"""

import argparse
import json
import time
from importlib.metadata import version

import private_set_intersection.python as psi  # type: ignore[import-not-found]

FALSE_POSITIVES = 1e-9  # of the compressed kinds; the raw kind has none


def align(ours: list[str], theirs: list[str]) -> list[int]:
    """Return which of the client's ids the server has too: the one-sided protocol, both sides in turn."""
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(FALSE_POSITIVES, len(ours), theirs, psi.DataStructure.RAW)
    response = server.ProcessRequest(client.CreateRequest(ours))
    common: list[int] = client.GetIntersection(setup, response)
    return common


def main() -> None:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--ids", type=int, required=True, help="of each side; half of them are common")
    count = parser.parse_args().ids
    ours = [f"customer-{number:09d}" for number in range(count)]
    theirs = [f"customer-{number:09d}" for number in range(count // 2, count // 2 + count)]
    began, began_cpu = time.perf_counter(), time.process_time()
    common = align(ours, theirs)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    assert len(common) == count - count // 2, len(common)
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "version": version("openmined-psi")}))


if __name__ == "__main__":
    main()
