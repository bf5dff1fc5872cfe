"""Evaluations as tables and plots: queues and fault rules against what was injected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.fault_evaluation import evaluate_faults, fault_rows
from models.theft_bench import Homes
from models.theft_evaluation import METHODS, METRICS, TheftPlan, evaluate_theft, summary_rows
from pipelines.console import progress
from pipelines.evaluation.evaluation_plot import bars
from pipelines.store.parts import whole_file

__all__ = ["run_faults", "run_theft", "table_text", "write_result"]


def run_theft(homes: Homes, plan: TheftPlan) -> dict[str, Any]:
    """All draws of a plan, and their table.

    Returns:
        ``homes``, ``able``, ``days``, the plan, and ``rows`` of prevalence, timing and method.
    """
    tried = []
    count = len(plan.prevalences) * len(plan.timings) * plan.seeds
    with progress("Evaluate", total=count, unit="draws") as advance:
        for draw in evaluate_theft(homes, plan):
            tried += draw
            advance(1)
    return {
        "homes": len(homes.names),
        "able": int(homes.able.sum()),
        "days": homes.grid.days,
        "seeds": plan.seeds,
        "attacks": list(plan.kinds),
        "top": plan.top,
        "rows": summary_rows(tried),
    }


def run_faults(homes: Homes, *, seeds: int, each: int) -> dict[str, Any]:
    """Faults injected into some homes, and what the rules say of all the others.

    Returns:
        ``rows`` of injected fault, and the false alarms a meter-month: of homes left whole, and of the
        unchanged data, with the rules that raised them.
    """
    draws = []
    with progress("Evaluate", total=seeds, unit="draws") as advance:
        for draw in evaluate_faults(homes, seeds=seeds, each=each):
            draws.append(draw)
            advance(1)
    return {
        "homes": len(homes.names),
        "able": int(homes.able.sum()),
        "days": homes.grid.days,
        "seeds": seeds,
        **fault_rows(homes, draws),
    }


def table_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as lines of text; a number with a ``_sd`` beside it is shown as mean ± sd."""
    cells = [list(columns), *([_cell(row, name) for name in columns] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if f"{name}_sd" in row:
        return f"{value:.3f} ± {row[f'{name}_sd']:.3f}"
    if isinstance(value, Mapping):
        return " ".join(f"{key} {'–' if part is None else f'{part:.2f}'}" for key, part in value.items())
    return f"{value:.3f}" if isinstance(value, float) and name != "prevalence" else str(value)


def write_result(out: Path, name: str, result: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """The result as JSON and text, and its plots, in a folder.

    Returns:
        Names of the files.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {
        f"{name}.json": json.dumps(result, indent=1) + "\n",
        f"{name}.txt": table_text(result["rows"], columns) + "\n",
        **_plots(name, result["rows"]),
    }
    for file, content in files.items():
        with whole_file(out / file) as handle:
            handle.write(content.encode())
    return list(files)


def _plots(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """One plot a metric: the first prevalence, grouped by timing; recall by fault."""
    if name != "theft":
        faults = {str(row["fault"]): float(row["recall"]) for row in rows}
        return {f"{name}-recall.svg": bars("Recall by fault", {"": faults})}
    plots = {}
    first = rows[0]["prevalence"]
    for metric in METRICS:
        groups: dict[str, dict[str, float]] = {}
        for row in rows:
            if row["prevalence"] == first:
                groups.setdefault(str(row["timing"]), {})[str(row["method"])] = float(row[metric])
        plots[f"{name}-{metric}.svg"] = bars(f"{metric}, {first:.0%} of the homes steal", groups, METHODS)
    return plots
