"""Print one table: the backfill at three sizes and its rivals, measured in one run on this machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.data import make

METERS = 300
"""Meter-years of the 1 × size: 10.5 million readings."""
SIZES = (1, 2, 4)
TEN_MILLION = 1e7


@dataclass(frozen=True)
class Measured:
    """One process and its children."""

    wall: float
    cpu: float
    peak_mb: float
    out: str


def measure(command: list[str]) -> Measured:
    """Run a command to its end; CPU seconds and the largest process by the system's own account."""
    # A child of our own, so that its children are accounted to it alone.
    code = (
        "import resource,subprocess,sys;"
        "p=subprocess.run(sys.argv[1:],capture_output=True,text=True);"
        "r=resource.getrusage(resource.RUSAGE_CHILDREN);"
        "sys.stderr.write(p.stderr[-2000:] if p.returncode else '');"
        "print(r.ru_utime+r.ru_stime,r.ru_maxrss/1024);print(p.stdout)"
    )
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    wall = time.monotonic() - before
    if done.stderr:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    figures, _, out = done.stdout.partition("\n")
    cpu, peak = (float(figure) for figure in figures.split())
    return Measured(wall, cpu, peak, out.strip())


def main() -> None:
    """Measure and print."""
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=os.environ.get("METERBEAM_BENCH_DIR")))
    table = Table("what", "readings", "wall s", "CPU s", "CPU s / 10 M", "readings / s", "peak MB a process")

    def row(what: str, readings: int, found: Measured) -> None:
        table.add_row(
            what,
            f"{readings:,}",
            f"{found.wall:.1f}",
            f"{found.cpu:.1f}",
            f"{found.cpu / readings * TEN_MILLION:.2f}",
            f"{readings / found.wall:,.0f}",
            f"{found.peak_mb:.0f}",
        )

    sample = Path(__file__).resolve().parents[2] / "pipelines" / "sample"
    results: list[tuple[int, Measured]] = []
    try:
        for size in SIZES:
            readings = make(root / f"in-{size}", METERS * size)
            command = [sys.executable, "-m", "pipelines.cli", "backfill", str(root / f"in-{size}")]
            options = ["--lake", str(root / f"lake-{size}"), "--timezone", "Europe/Zurich"]
            found = measure([*command, *options, "--tariffs", str(sample), "--json"])
            results.append((readings, found))
            row(f"backfill, {size} ×", readings, found)
            shutil.rmtree(root / f"lake-{size}")
        for rival in ("decode", "polars", "duckdb", "textbook"):
            found = measure([sys.executable, "-m", "tests.bench.rivals", rival, str(root / "in-1")])
            row(rival, int(found.out.split()[-1]), found)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    console = Console(width=120)
    console.print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} processors")
    console.print(table)
    (low, first), (high, last) = results[0], results[-1]
    slope = (last.cpu - first.cpu) / (high - low) * TEN_MILLION
    fixed = first.cpu - slope * low / TEN_MILLION
    console.print(f"slope {slope:.2f} CPU s per 10 M readings, fixed {fixed:.1f} CPU s")


if __name__ == "__main__":
    main()
