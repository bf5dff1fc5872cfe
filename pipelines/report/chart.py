"""Charts as inline SVG: lines over bands, stacked bars, and small bars for tables.

Text keeps its size on every screen because a chart is drawn once for wide and once for narrow
screens (``responsive``). Colours are CSS classes (``f1``… fill, ``s1``… stroke), so light, dark and
print share one drawing. A mark with ``data-tip`` explains itself to the pointer and to the arrow keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.report.markup import Content, Html, join, tag

NARROW = 344


@dataclass(frozen=True)
class Line:
    """A named line; ``points`` are (x, y), a y of None breaks it."""

    name: str
    points: Sequence[tuple[float, float | None]]
    style: str


@dataclass(frozen=True)
class Band:
    """A shaded stretch of the x axis."""

    start: float
    end: float
    style: str
    label: str


@dataclass(frozen=True)
class Bar:
    """One bar of stacked parts: (style, height), lowest first."""

    label: str
    parts: Sequence[tuple[str, float]]
    tip: str


@dataclass(frozen=True)
class Frame:
    """Where data lands on the drawing."""

    width: int
    height: int
    x0: float
    x1: float
    y0: float
    y1: float
    left: int = 46
    right: int = 8
    top: int = 12
    bottom: int = 24

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return round(
            self.left
            + (value - self.x0) / ((self.x1 - self.x0) or 1) * (self.width - self.left - self.right),
            1,
        )

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return round(
            self.height
            - self.bottom
            - (value - self.y0) / ((self.y1 - self.y0) or 1) * (self.height - self.top - self.bottom),
            1,
        )


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values that cover low … high in at most about ``most`` steps."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low, low + 1]
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def tick_label(value: float) -> str:
    """A tick without needless zeros."""
    return f"{value:,.10g}".replace("-", "−")


def responsive(draw: Callable[[int], Html], wide: int) -> Html:
    """The same chart for wide and narrow screens; only one is shown and read out."""
    return join([tag("div", draw(wide), class_="wide"), tag("div", draw(NARROW), class_="narrow")])


def svg(width: int, height: int, label: str, *children: Content) -> Html:
    """A chart that scales down, is read out as one image and can be walked with the arrow keys."""
    return tag(
        "svg",
        children,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
        tabindex="0",
        class_="chart",
    )


def text(x: float, y: float, content: str, *, anchor: str = "middle", style: str | None = None) -> Html:
    """A text of a chart."""
    return tag("text", content, x=x, y=y, text_anchor=anchor, class_=style)


def y_axis(frame: Frame, values: Sequence[float], unit: str) -> Html:
    """Grid lines with their values, the unit beside the highest."""
    parts: list[Content] = []
    for number, value in enumerate(values):
        y = frame.y(value)
        parts.append(tag("line", x1=frame.left, x2=frame.width - frame.right, y1=y, y2=y, class_="grid"))
        last = number == len(values) - 1
        parts.append(text(frame.left - 6, y + 4, tick_label(value), anchor="end"))
        if last and unit:
            parts.append(text(frame.left + 3, y - 3, unit, anchor="start", style="faint"))
    return join(parts)


def x_axis(frame: Frame, labels: Sequence[tuple[float, str]]) -> Html:
    """Texts under the plot, as many as fit."""
    longest = max((len(label) for _, label in labels), default=1)
    room = max(1, int((frame.width - frame.left) / (longest * 6.6 + 10)))
    step = max(1, math.ceil(len(labels) / room))
    return join(
        text(min(max(frame.x(at), 14), frame.width - 14), frame.height - 6, label)
        for at, label in labels[::step]
    )


def legend(entries: Sequence[tuple[str, str]], kind: str = "box") -> Html:
    """What the colours mean: (style, name)."""
    return tag(
        "ul",
        [tag("li", tag("i", class_=f"key {kind} {style}"), name) for style, name in entries],
        class_="legend",
    )


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    unit: str,
    width: int,
    height: int = 240,
    x_labels: Sequence[tuple[float, str]] = (),
    bands: Sequence[Band] = (),
    marks: Sequence[tuple[float, str]] = (),
    span: tuple[float, float] | None = None,
    tell: Callable[[float], str] | None = None,
) -> Html:
    """Lines over shaded bands; y starts at zero.

    Args:
        lines: Lines drawn in order.
        label: What a screen reader says.
        unit: Of the y axis.
        width: Of the drawing [px].
        height: Of the drawing [px].
        x_labels: (x, text) under the plot.
        bands: Shaded stretches behind the lines.
        marks: (x, text) of vertical lines.
        span: Lowest and highest x; taken from the lines where absent.
        tell: Words for an x; each x then explains itself with the value of every line.
    """
    xs = [x for line in lines for x, _ in line.points] or [0, 1]
    ys = [y for line in lines for _, y in line.points if y is not None] or [1]
    steps = ticks(min(0.0, *ys) if len(ys) > 1 else min(0.0, ys[0]), max(max(ys), 1e-6), 4)
    low, high = span or (min(xs), max(xs))
    frame = Frame(width, height, low, high, steps[0], steps[-1], top=26 if bands or marks else 16)
    parts: list[Content] = [_band(frame, band) for band in bands]
    parts += [y_axis(frame, steps, unit), x_axis(frame, x_labels)]
    for at, name in marks:
        x = frame.x(at)
        left = x > frame.width * 0.6
        parts.append(tag("line", x1=x, x2=x, y1=12, y2=frame.height - frame.bottom, class_="mark"))
        parts.append(
            text(x - 5 if left else x + 5, 20, name, anchor="end" if left else "start", style="mark-text")
        )
    parts += [tag("path", d=_path(frame, line.points), class_=f"line {line.style}") for line in lines]
    if tell is not None:
        parts.append(_hits(frame, lines, unit, tell))
    return svg(width, height, label, parts)


def _band(frame: Frame, band: Band) -> Html:
    x = frame.x(band.start)
    return tag(
        "rect",
        x=x,
        y=12,
        width=round(frame.x(band.end) - x, 1),
        height=frame.height - frame.bottom - 12,
        class_=f"band {band.style}",
        data_tip=band.label,
    )


def _path(frame: Frame, points: Sequence[tuple[float, float | None]]) -> str:
    drawn, pen = [], "M"
    for x, y in points:
        if y is None:
            pen = "M"
            continue
        drawn.append(f"{pen}{frame.x(x)} {frame.y(y)}")
        pen = "L"
    return "".join(drawn)


def _hits(frame: Frame, lines: Sequence[Line], unit: str, tell: Callable[[float], str]) -> Html:
    """An invisible column around every x, from half-way to the x before to half-way to the next."""
    values: dict[float, list[str]] = {}
    for line in lines:
        for x, y in line.points:
            values.setdefault(x, []).append(f"{line.name} {'–' if y is None else f'{y:,.3g} {unit}'}")
    xs = sorted(values)
    middles = [(a + b) / 2 for a, b in pairwise(xs)]
    edges = [frame.x(at) for at in (frame.x0, *middles, frame.x1)]
    height = frame.height - frame.top - frame.bottom
    return join(
        tag(
            "rect",
            x=left,
            y=frame.top,
            width=round(right - left, 1),
            height=height,
            class_="hit",
            data_tip=f"{tell(x)}: {', '.join(values[x])}",
        )
        for x, left, right in zip(xs, edges[:-1], edges[1:], strict=True)
    )


def bar_chart(
    bars: Sequence[Bar],
    *,
    label: str,
    unit: str,
    width: int,
    height: int = 220,
    overlay: Line | None = None,
    marks: Sequence[tuple[float, str]] = (),
    least: float = 0.0,
) -> Html:
    """Stacked bars, an optional line over them (x = bar number) and vertical marks (x = left edge of a bar).

    ``least`` keeps the y axis at least that high.
    """
    tops = [sum(height for _, height in bar.parts) for bar in bars]
    line_tops = [y for _, y in overlay.points if y is not None] if overlay else []
    steps = ticks(0, max([*tops, *line_tops, least, 1e-6]), 4)
    frame = Frame(width, height, 0, max(len(bars), 1), 0, steps[-1], top=26 if marks else 16)
    gap = 0.12 if len(bars) < 90 else 0.04
    parts: list[Content] = [y_axis(frame, steps, unit)]
    parts.append(x_axis(frame, [(number + 0.5, bar.label) for number, bar in enumerate(bars)]))
    parts += [_bar(frame, number, bar, gap) for number, bar in enumerate(bars)]
    if overlay:
        parts.append(
            tag(
                "path",
                d=_path(frame, [(x + 0.5, y) for x, y in overlay.points]),
                class_=f"line {overlay.style}",
            )
        )
    for at, name in marks:
        x = frame.x(at)
        left = x > frame.width * 0.6
        parts.append(tag("line", x1=x, x2=x, y1=12, y2=frame.height - frame.bottom, class_="mark"))
        parts.append(
            text(x - 5 if left else x + 5, 20, name, anchor="end" if left else "start", style="mark-text")
        )
    return svg(width, height, label, parts)


def _bar(frame: Frame, number: int, bar: Bar, gap: float) -> Html:
    x, right = frame.x(number + gap / 2), frame.x(number + 1 - gap / 2)
    base, parts = 0.0, []
    for style, value in bar.parts:
        if value > 0:
            top = frame.y(base + value)
            parts.append(
                tag(
                    "rect",
                    x=x,
                    y=top,
                    width=round(right - x, 1),
                    height=round(frame.y(base) - top, 1),
                    class_=style,
                )
            )
            base += value
    full = tag(
        "rect",
        x=frame.x(number),
        y=frame.top,
        width=round(frame.x(number + 1) - frame.x(number), 1),
        height=frame.height - frame.top - frame.bottom,
        class_="hit",
        data_tip=bar.tip,
    )
    return join([*parts, full])


def share_bar(parts: Sequence[tuple[str, float]], whole: float) -> Html:
    """A bar inside a table cell: (style, value) parts of a whole."""
    spans = [
        tag("span", class_=style, style=f"width:{max(value / whole * 100, 0.4):.3g}%")
        for style, value in parts
        if value > 0 and whole > 0
    ]
    return tag("span", spans, class_="share", aria_hidden="true")
