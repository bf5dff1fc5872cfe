"""Horizontal bars as SVG: one group a timing, one bar a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

__all__ = ["bars"]

WIDTH, LABEL, ROW, GAP, TOP = 720, 190, 18, 14, 44
COLOURS = ("#1b6ca8", "#5aa9e6", "#0b3954", "#c8553d", "#9a8c98", "#588157")


def bars(title: str, groups: Mapping[str, Mapping[str, float]], order: Sequence[str] = ()) -> str:
    """A chart of values from 0 to 1.

    Args:
        title: What is measured.
        groups: Values by name, by group.
        order: Names that share a colour in every group; others all have the first colour.
    """
    parts, y = [], TOP
    for group, values in groups.items():
        if group:
            parts.append(_text(4, y + 12, group, weight="bold"))
            y += ROW
        for name, value in values.items():
            colour = COLOURS[order.index(name) % len(COLOURS)] if name in order else COLOURS[0]
            length = max(min(value, 1.0), 0.0) * (WIDTH - LABEL - 60)
            parts.append(_text(4, y + 12, name))
            parts.append(
                f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{ROW - 6}" fill="{colour}"/>'
            )
            parts.append(_text(LABEL + length + 6, y + 12, f"{value:.3f}"))
            y += ROW
        y += GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        f'font-family="sans-serif" font-size="12"><rect width="{WIDTH}" height="{y}" fill="white"/>'
    )
    return "\n".join([head, _text(4, 20, title, weight="bold"), *parts, "</svg>", ""])


def _text(x: float, y: float, content: str, *, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}">{escape(content)}</text>'
