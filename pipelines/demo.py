"""The demo: a simulated town or the real sample, backfilled and reported."""

from __future__ import annotations

import shutil
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from models.calendar import DayGrid, epoch_day
from models.town import TownPlan
from pipelines.backfill import BackfillOptions, backfill
from pipelines.town.simulate import SimulateOptions, simulate
from schemas.errors import MeterbeamError

METERS = 120
DAYS = 91
MARK = ".meterbeam-demo"


def demo(out: Path, *, real: bool, meters: int = METERS, days: int = DAYS) -> dict[str, Any]:
    """Make input, backfill it into a lake, write the report.

    Args:
        out: Folder of the demo; one of an earlier demo is replaced, any other is left alone.
        real: Use the sample of real Swiss homes instead of a simulated town.
        meters: Customer meters of the simulated town.
        days: Its local days.

    Raises:
        MeterbeamError: The folder holds something else.
    """
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise MeterbeamError(
            str(out), "a folder with other content", "an empty or new folder, or an earlier demo"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).touch()
    source = out / "input"
    made = _sample(source) if real else _town(source, meters, days)
    done = backfill(
        BackfillOptions(
            inputs=(source,),
            lake=out / "lake",
            timezone="Europe/Zurich",
            tariffs=source / "tariffs",
            shards=8,
        )
    )
    return {"input": made, "backfill": done, "report": str(_report(out, real))}


def _town(source: Path, meters: int, days: int) -> dict[str, Any]:
    grid = DayGrid("Europe/Zurich", 900, epoch_day(date(2026, 1, 5)), days)
    return simulate(
        SimulateOptions(source, TownPlan(meters, seed=7, theft=0.06, faults=0.05, defects=0.02), grid)
    )


def _sample(source: Path) -> dict[str, Any]:
    """Copy the packaged homes."""
    source.mkdir()
    sample = resources.files("pipelines") / "sample"
    for name in ("readings.avro", "registers.avro", "service-points.avro"):
        (source / name).write_bytes((sample / name).read_bytes())
    (source / "tariffs").mkdir()
    (source / "tariffs" / "home-tou.yaml").write_bytes((sample / "home-tou.yaml").read_bytes())
    return {"sample": "16 Swiss homes, 49 days (ResidentialEnergyConsumption, CC BY-SA 4.0)"}


def _report(out: Path, real: bool) -> Path:
    from pipelines.report import report
    from pipelines.store.lake import Lake
    from pipelines.store.views import connect

    lake = Lake.open(out / "lake")
    title = "Meterbeam: real Swiss homes" if real else "Meterbeam: a simulated town"
    with connect(lake) as connection:
        page = report(connection, title=title, timezone=lake.config.timezone)
    path = out / "report.html"
    path.write_text(page, "utf-8")
    return path
