"""HTML as escaped text: every string that is not ``Html`` is data and is escaped where it enters the page."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


class Html(str):
    """Markup that is already safe to embed."""

    __slots__ = ()


Content = str | int | float | None | Iterable[Any]
VOID = frozenset({"meta", "link", "br", "rect", "line", "path", "circle", "col"})


def escape(value: object) -> Html:
    """Data as text of the page; safe in elements and in double-quoted attributes."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(parts: Iterable[Content], separator: str = "") -> Html:
    """Parts one after the other, each escaped unless it is markup; None is nothing."""
    return Html(separator.join(_content(part) for part in parts))


def _content(part: Content) -> str:
    if part is None:
        return ""
    if isinstance(part, (str, int, float)):
        return escape(part)
    return join(part)


def tag(name: str, /, *children: Content, **attributes: object) -> Html:
    """An element. ``class_`` and ``for_`` lose the underscore, other underscores become hyphens.

    An attribute of None or False is left out, True is written without a value.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written.append(key if value is True else f'{key}="{escape(value)}"')
    opening = " ".join([name, *written])
    if name in VOID:
        return Html(f"<{opening}/>")
    return Html(f"<{opening}>{join(children)}</{name}>")


def data_block(name: str, data: object) -> Html:
    """Data for the page's script, in a block no browser executes; ``<`` cannot close it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    return Html(
        '<script type="application/json" '
        f'data-name="{escape(name)}">{text.replace("<", chr(92) + "u003c")}</script>'
    )


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown and, for sorting, what it is worth."""

    shown: Content
    sort: float | str | None = None
    title: str | None = None


@dataclass(frozen=True)
class Column:
    """A table column; numbers are right-aligned, ``unit`` stands in the header, ``prose`` may wrap."""

    label: str
    number: bool = False
    unit: str = ""
    wide: bool = False
    prose: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a caption; sortable by every header when there is something to sort.

    Attributes:
        total: How many rows there are in the lake; when more than shown, the caption says so.
        query: SQL that gives all of them.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | Content]]
    total: int | None = None
    query: str | None = None
    foot: Sequence[Content] | None = None
    sortable: bool = True
    name: str = field(default="table")

    def render(self) -> Html:
        """The table in a box that scrolls sideways on narrow screens."""
        sortable = self.sortable and len(self.rows) > 1
        head = tag("tr", [_header(n, column, sortable) for n, column in enumerate(self.columns)])
        body = [tag("tr", [_cell(cell, self.columns[n]) for n, cell in enumerate(row)]) for row in self.rows]
        foot = None
        if self.foot is not None:
            foot = tag("tfoot", tag("tr", [_cell(cell, self.columns[n]) for n, cell in enumerate(self.foot)]))
        note: list[Content] = [self.caption]
        if self.total is not None and self.total > len(self.rows):
            note.append(tag("span", f"first {len(self.rows):,} of {self.total:,}", class_="part"))
        if self.query is not None:
            note.append(tag("span", "all: ", tag("code", f'meterbeam query "{self.query}"'), class_="query"))
        save = (
            tag(
                "button",
                "CSV",
                type="button",
                class_="csv",
                data_file=f"{self.name}.csv",
                aria_label=f"Save this table as {self.name}.csv",
            )
            if self.rows
            else None
        )
        return tag(
            "div",
            tag("div", tag("p", join(note, " "), class_="caption"), save, class_="table-head"),
            tag(
                "div",
                tag("table", tag("thead", head), tag("tbody", body), foot, aria_label=self.caption),
                class_="scroll",
                tabindex="0",
                role="region",
                aria_label=self.caption,
            ),
            class_="table-box",
        )


def _header(number: int, column: Column, sortable: bool) -> Html:
    label = join([column.label, tag("span", f" [{column.unit}]", class_="unit") if column.unit else None])
    shown = tag("button", label, type="button", data_column=number) if sortable and column.label else label
    return tag("th", shown, scope="col", class_="n" if column.number else None)


def _cell(cell: Cell | Content, column: Column) -> Html:
    given = cell if isinstance(cell, Cell) else Cell(cell)
    classes = " ".join(
        name for name, on in (("n", column.number), ("wide", column.wide), ("prose", column.prose)) if on
    )
    return tag("td", given.shown, class_=classes or None, data_v=given.sort, title=given.title)


def absent(what: str, why: str) -> Html:
    """Said in place of an empty plot."""
    return tag("p", tag("strong", what), " ", why, class_="absent")


def figure(caption: str, *content: Content, note: Content = None) -> Html:
    """A plot with its title above it and, small, how to read it below."""
    return tag("figure", tag("figcaption", caption), content, tag("p", note, class_="note") if note else None)
