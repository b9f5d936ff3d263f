"""Run all benchmarks and print one table: `make bench`."""

from __future__ import annotations

import os
import platform

from bench import latency, throughput
from bench.table import Row, printed


def main() -> None:
    """Measure and print."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n", flush=True)
    rows: list[Row] = []
    for module in (throughput, latency):
        rows += module.measure()
    print(printed(rows))


if __name__ == "__main__":
    main()
