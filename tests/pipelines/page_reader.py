"""A report read back: its text by section, its tables by caption, its elements."""

from __future__ import annotations

from html.parser import HTMLParser


class Reader(HTMLParser):
    """The page as a test reads it: text by section, tables as rows of texts, elements by name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._section = ""
        self._rows: list[list[str]] = []
        self._in_cell = False
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        """Open a section, a table, a row or a cell."""
        given = dict(attributes)
        self.tags.append((name, given))
        if name == "section":
            self._section = given["id"] or ""
        elif name == "table":
            self._rows = self.tables.setdefault(given["aria-label"] or "", [])
        elif name == "tr":
            self._rows.append([])
        elif name in ("td", "th"):
            self._rows[-1].append("")
            self._in_cell = True
        elif name in ("style", "script"):
            self._hidden += 1

    def handle_endtag(self, name: str) -> None:
        """Close a cell, or what is no text of the page."""
        if name in ("td", "th"):
            self._in_cell = False
        elif name in ("style", "script"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        """Text of the open section and cell."""
        if self._hidden:
            return
        self.sections[self._section] = self.sections.get(self._section, "") + data
        if self._in_cell:
            self._rows[-1][-1] += data

    def tips(self) -> list[str]:
        """What marks say."""
        return [given["data-tip"] or "" for _, given in self.tags if "data-tip" in given]
