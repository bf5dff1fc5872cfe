"""Print one table: the backfill at three sizes, its stages and its rivals, measured in one run.

`python -m tests.bench [--meters N] [--huge]`: the 1 × size in meter-years (default 1,430: 50 million
readings), and whether seven times as much is measured too (350 million). The table is also written to
bench-out/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from tests.bench.data import make

METERS = 1_430
SIZES = (1, 2, 4)
HUGE = 7
SMALL = 300
"""Meter-years for the rivals, the stages and the single readings: ten million."""
RIVALS = (
    ("decode", "blocks", "bare decode by the same reader, nothing else"),
    ("polars", "blocks", "Polars: gap fill and TOU sums only"),
    ("duckdb", "blocks", "DuckDB: gap fill and TOU sums only"),
    ("textbook", "blocks", "Beam, a row at a time: TOU sums only"),
    ("decode", "rows", "bare decode of the single readings, nothing else"),
    ("polars", "rows", "Polars, the same from single readings"),
    ("duckdb", "rows", "DuckDB, the same from single readings"),
)
TEN_MILLION = 1e7
SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"


@dataclass(frozen=True)
class Measured:
    """One process and its children."""

    wall: float
    cpu: float
    peak_mb: float
    out: str


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    readings: int
    found: Measured

    def markdown(self) -> str:
        """As a table row."""
        found = self.found
        return (
            f"| {self.what} | {self.readings:,} | {found.wall:.1f} | {found.cpu:.1f} "
            f"| {found.cpu / self.readings * TEN_MILLION:.2f} | {self.readings / found.wall:,.0f} "
            f"| {found.peak_mb:.0f} |"
        )


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


def backfill(root: Path, meters: int, form: str = "blocks", codec: str = "snappy") -> Row:
    """One whole backfill of so many meter-years."""
    inputs, lake = root / f"in-{form}-{meters}", root / "lake"
    readings = make(inputs, meters, codec, form)
    command = [sys.executable, "-m", "pipelines.cli", "backfill", str(inputs), "--lake", str(lake)]
    found = measure([*command, "--timezone", "Europe/Zurich", "--tariffs", str(SAMPLE), "--json"])
    shutil.rmtree(lake)
    return Row(f"backfill, {form}, {codec}", readings, found)


def report(meters: int, sizes: tuple[int, ...], root: Path) -> str:
    """Measure everything; the page as Markdown."""
    rows = []
    for size in sizes:
        rows.append(backfill(root, meters * size))
        shutil.rmtree(root / f"in-blocks-{meters * size}")
    zstd = backfill(root, SMALL, codec="zstandard")
    small = backfill(root, SMALL)
    single = [backfill(root, number, form="rows") for number in (SMALL // 3, SMALL)]
    inputs = root / f"in-blocks-{SMALL}"
    rivals = [_rival(name, root / f"in-{form}-{SMALL}", text) for name, form, text in RIVALS]
    stages = measure(
        [sys.executable, "-m", "tests.bench.stages", str(inputs), str(root / "lake"), str(SAMPLE)]
    )
    slope, fixed = _line(rows[0], rows[-1])
    per_row, _ = _line(*single)
    head = ["what", "readings", "wall s", "CPU s", "CPU s / 10 M", "readings / s", "peak MB a process"]
    lines = [
        (
            f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} processors, "
            f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB."
        ),
        "",
        f"| {' | '.join(head)} |",
        "|---|" + "---:|" * (len(head) - 1),
        *(row.markdown() for row in [*rows, small, zstd, *single, *rivals]),
        "",
        (
            f"Slope from {rows[0].readings / 1e6:.0f} to {rows[-1].readings / 1e6:.0f} million readings: "
            f"**{slope:.2f} CPU s per 10 million**, fixed {fixed:.1f} CPU s; from each size to the next "
            f"{', '.join(f'{_line(*pair)[0]:.2f}' for pair in pairwise(rows))}. Single readings: "
            f"**{per_row:.2f} CPU s per 10 million**."
        ),
        "",
        f"CPU of the others against these slopes, for far less work: {_ratios(slope, per_row, rivals)}.",
        "",
        "Stages of the 10-million backfill in one process:",
        "",
        "| stage | CPU s / 10 M |",
        "|---|---:|",
        *_stages(json.loads(stages.out)),
        "",
        "Bills, CPU seconds of one process:",
        "",
        measure([sys.executable, "-m", "tests.bench.bills"]).out,
    ]
    return "\n".join(lines) + "\n"


def _line(low: Row, high: Row) -> tuple[float, float]:
    """CPU seconds per 10 million more readings, and those spent for none."""
    slope = (high.found.cpu - low.found.cpu) / (high.readings - low.readings) * TEN_MILLION
    return slope, low.found.cpu - slope * low.readings / TEN_MILLION


def _rival(name: str, inputs: Path, text: str) -> Row:
    found = measure([sys.executable, "-m", "tests.bench.rivals", name, str(inputs)])
    return Row(text, int(found.out.split()[-1]), found)


def _ratios(of_blocks: float, of_rows: float, rivals: list[Row]) -> str:
    texts = []
    for (name, form, text), row in zip(RIVALS, rivals, strict=True):
        slope = of_blocks if form == "blocks" else of_rows
        if name != "decode":
            texts.append(f"{text.split(':')[0]} {row.found.cpu / row.readings * TEN_MILLION / slope:.0f} ×")
    return ", ".join(texts)


def _stages(found: dict[str, object]) -> list[str]:
    stages, readings = found["stages"], found["readings"]
    assert isinstance(stages, dict)
    assert isinstance(readings, int)
    return [f"| {name} | {spent / readings * TEN_MILLION:.2f} |" for name, spent in stages.items()]


def main() -> None:
    """Measure, print, write."""
    asked = ArgumentParser(prog="python -m tests.bench")
    asked.add_argument("--meters", type=int, default=METERS, help="the 1 × size in meter-years")
    asked.add_argument("--huge", action="store_true", help=f"{HUGE} times as much too (2 GB of disk)")
    options = asked.parse_args()
    sizes = (*SIZES, HUGE) if options.huge else SIZES
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=os.environ.get("METERBEAM_BENCH_DIR")))
    try:
        text = report(options.meters, sizes, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "benchmarks.md").write_text(text, "utf-8")
    Console(width=140).print(Markdown(text))


if __name__ == "__main__":
    main()
