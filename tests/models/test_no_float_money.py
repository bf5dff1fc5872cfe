"""A float that comes near money fails here: the code that prices is read, not run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent.parent
PRICING = (
    "models/bill_[lsw]*.py", "models/billing.py", "models/*_charges.py", "models/money.py", "models/tiers.py",
    "models/demand_windows.py", "models/slot_quantities.py", "models/gas.py", "schemas/tariff*.py",
    "pipelines/tariffs/price_load.py", "pipelines/tariffs/compare_tariffs.py",
    "pipelines/tariffs/bill_inputs.py", "pipelines/tariffs/price_file.py", "pipelines/tariffs/urdb_*.py",
    "pipelines/tariffs/import_urdb.py",
)  # fmt: skip
FLOATING = {
    "float",
    "float16",
    "float32",
    "float64",
    "longdouble",
    "mean",
    "average",
    "true_divide",
    "divide",
}
EXACT = {"Fraction", "Path"}
ALLOWED = {
    # A float that was written into a tariff is shown as the text it should be.
    ("schemas/tariff_fields.py", "float"),
    # A decimal by twelve: a charge for a year as one for a month.
    ("pipelines/tariffs/urdb_charges.py", "amount / MONTHS"),
}


def floats(source: str) -> list[str]:
    """Float literals, float types and divisions that are not exact, as text with their lines."""
    tree = ast.parse(source)
    shown = {
        node for text in ast.walk(tree) if isinstance(text, ast.FormattedValue) for node in ast.walk(text)
    }
    found = [node for node in ast.walk(tree) if node not in shown and _floating(node)]
    return [f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)}" for node in found]


def _floating(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float | complex)
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr) in FLOATING
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, ast.Div)
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _exact(node)


def _exact(division: ast.BinOp) -> bool:
    """Whether a fraction or a path stands on one side."""
    if isinstance(division.right, ast.JoinedStr):
        return True
    inside = [node for side in (division.left, division.right) for node in ast.walk(side)]
    return any(isinstance(node, ast.Name) and node.id in EXACT for node in inside)


FILES = sorted({path for pattern in PRICING for path in REPO.glob(pattern)})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(REPO).as_posix())
def test_no_float_where_money_is_made(path: Path) -> None:
    """Nothing that prices has a float literal, a float type, or a division that could give a float."""
    name = path.relative_to(REPO).as_posix()
    allowed = [text for file, text in ALLOWED if file == name]
    assert [
        found for found in floats(path.read_text("utf-8")) if found.split(": ", 1)[1] not in allowed
    ] == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        pytest.param("total = amount * 0.0725", 1, id="literal"),
        pytest.param("total = float(amount)", 1, id="call"),
        pytest.param("total = amounts.astype(np.float64)", 1, id="array"),
        pytest.param("share = days / billed", 1, id="division"),
        pytest.param("total /= 2", 1, id="division in place"),
        pytest.param("def f(rate: float) -> int: ...", 1, id="annotation"),
        pytest.param("share = Fraction(days) / billed", 0, id="exact division"),
        pytest.param("total = -(-amount // 2)", 0, id="integer division"),
    ],
)
def test_the_check_can_fail(source: str, count: int) -> None:
    """Each way a float could come in is seen."""
    assert len(floats(source)) == count
