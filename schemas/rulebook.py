"""Rule books: which pack holds for which series on which local day, effective-dated (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, model_validator

from schemas.channels import CHANNELS, commodity_name
from schemas.errors import MeterbeamError
from schemas.rulepack import RulePack, load_rule_pack, shipped_packs
from schemas.yaml_model import Part, parse_yaml, read_yaml

__all__ = ["BESIDE_DEFAULT", "Entry", "RuleBook", "When", "book_of", "load_rule_book", "parse_rule_book"]


EPOCH = date(1970, 1, 1)


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class When(Part):
    """What a series must be; a condition that is left out holds for all."""

    customer_class: Names = ()
    commodity: Names = ()
    channel: Names = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [name for name in self.channel if name not in CHANNELS]
        if unknown:
            raise ValueError(f"channel {unknown[0]!r} is none of {', '.join(CHANNELS)}")
        return self

    @property
    def conditions(self) -> int:
        """How many it names."""
        return sum(bool(names) for names in (self.customer_class, self.commodity, self.channel))

    def holds(self, customer_class: str | None, commodity: str, channel: str) -> bool:
        """Whether a series meets every condition."""
        return (
            (not self.customer_class or customer_class in self.customer_class)
            and (not self.commodity or commodity_name(commodity) in map(commodity_name, self.commodity))
            and (not self.channel or channel in self.channel)
        )


BESIDE_DEFAULT = {
    "export": When(channel=("export",)),
    "gas": When(commodity=("gas", "volume")),
    "water": When(commodity=("water",)),
    "heat": When(commodity=("heat",)),
    "cold": When(commodity=("cooling",)),
}
"""Shipped packs that stand beside ``default``, and what they are for."""


class Entry(Part):
    """A pack, what it is for, and the local days on which it is in force besides its own ``effective``."""

    pack: RulePack
    when: When = When()
    valid_from: date | None = None
    valid_to: date | None = None

    @property
    def first(self) -> date:
        """First local day in force."""
        return max(self.pack.effective.from_, self.valid_from or date.min)

    @property
    def last(self) -> date:
        """Last local day in force."""
        return min(self.pack.effective.to or date.max, self.valid_to or date.max)


class RuleBook(Part):
    """Packs and when they hold.

    Of the entries that a series meets on a day, the one with most conditions holds; of these the latest
    begun, of these the later in the list. A day that no entry covers has the pack ``otherwise``.
    """

    id: str
    entries: tuple[Entry, ...]
    otherwise: RulePack

    @cached_property
    def packs(self) -> tuple[RulePack, ...]:
        """Every pack once: those of the entries, then ``otherwise``."""
        return tuple(dict.fromkeys([*(entry.pack for entry in self.entries), self.otherwise]))

    @property
    def max_read_gap_days(self) -> int:
        """Longest read interval [days] that any pack may use."""
        return max(pack.registers.max_read_gap_days for pack in self.packs)

    def stretches(self, customer_class: str | None, commodity: str, channel: str) -> list[tuple[date, int]]:
        """First day and position in ``packs`` of each pack in force for a series, in time order."""
        mine = [
            (entry.when.conditions, entry.first, place, entry)
            for place, entry in enumerate(self.entries)
            if entry.when.holds(customer_class, commodity, channel) and entry.first <= entry.last
        ]
        edges = {date.min, *(entry.first for *_, entry in mine)}
        edges |= {date.fromordinal(e.last.toordinal() + 1) for *_, e in mine if e.last < date.max}
        found: list[tuple[date, int]] = []
        for day in sorted(edges):
            here = [item for item in mine if item[3].first <= day <= item[3].last]
            pack = max(here, key=lambda item: item[:3])[3].pack if here else self.otherwise
            number = self.packs.index(pack)
            if not found or found[-1][1] != number:
                found.append((day, number))
        return found


def book_of(pack: RulePack) -> RuleBook:
    """A book of one pack, for every series; days outside its ``effective`` have ``default``."""
    return _made(pack.id, pack.id, [Entry(pack=pack)])


class _Line(Part):
    """An entry as it is written: the pack by name, or by the path of a file beside the book."""

    pack: str
    when: When = When()
    valid_from: date | None = None
    valid_to: date | None = None


class _Written(Part):
    id: str
    packs: tuple[_Line, ...]


class _Dated(RulePack):
    """A pack of a folder, with its conditions."""

    when: When = When()


def load_rule_book(name: str) -> RuleBook:
    """A rule book by name of a shipped pack, YAML file of a pack or a book, or folder of packs.

    ``default`` is the pack of that name with those of ``BESIDE_DEFAULT``; any other pack alone is for every
    series.

    Raises:
        MeterbeamError: There is nothing of that name, or a field is wrong; says which and what is accepted.
    """
    path = Path(name)
    if path.is_dir():
        return _folder(path)
    if path.suffix in (".yaml", ".yml"):
        return _book(path) if _is_book(path) else book_of(read_yaml(path, RulePack, "a rule pack"))
    if name == "default":
        packs = {"default": When()} | BESIDE_DEFAULT
        entries = tuple(Entry(pack=load_rule_pack(pack), when=when) for pack, when in packs.items())
        return RuleBook(id="default", entries=entries, otherwise=entries[0].pack)
    if name not in shipped_packs():
        known = f"one of {', '.join(shipped_packs())}, a .yaml file, or a folder of them"
        raise MeterbeamError("rule pack", repr(name), known)
    return book_of(load_rule_pack(name))


def _is_book(path: Path) -> bool:
    """Whether a file lists packs; a file that is no YAML is left to the reader of packs."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "packs" in content


def _book(path: Path) -> RuleBook:
    written = read_yaml(path, _Written, "a rule book")
    entries = []
    for line in written.packs:
        beside = path.parent / line.pack
        pack = load_rule_pack(str(beside) if line.pack.endswith((".yaml", ".yml")) else line.pack)
        entries.append(
            Entry(pack=pack, **{name: getattr(line, name) for name in Entry.model_fields if name != "pack"})
        )
    return _made(str(path), written.id, entries)


def _folder(path: Path) -> RuleBook:
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if not files:
        raise MeterbeamError(str(path), "no YAML file", "rule packs, a file each")
    dated = [read_yaml(file, _Dated, "a rule pack") for file in files]
    order = sorted(dated, key=lambda pack: (pack.id, pack.version))
    entries = [
        Entry(pack=RulePack.model_validate(_plain(pack, exclude={"when"})), when=pack.when) for pack in order
    ]
    return _made(str(path), path.resolve().name, entries)


def _made(where: str, name: str, entries: Sequence[Entry]) -> RuleBook:
    """A book after a look for two entries of which neither ever holds before the other."""
    seen: dict[tuple[Any, ...], Entry] = {}
    for entry in entries:
        key = entry.when, entry.first
        if key in seen:
            both = f"{seen[key].pack.id} and {entry.pack.id} from {entry.first} on, for the same series"
            raise MeterbeamError(where, both, "one pack for a series and a day")
        seen[key] = entry
    whole = [e.pack for e in entries if not e.when.conditions and e.first <= EPOCH and e.last == date.max]
    return RuleBook(id=name, entries=tuple(entries), otherwise=[*whole, load_rule_pack("default")][0])


def _plain(model: BaseModel, **options: Any) -> dict[str, Any]:
    return model.model_dump(by_alias=True, **options)


def parse_rule_book(text: str, where: str) -> RuleBook:
    """A book from the JSON that a run keeps of it; runs of old kept one pack.

    Raises:
        MeterbeamError: The text is neither.
    """
    content = yaml.safe_load(text)
    if isinstance(content, dict) and "entries" in content:
        return parse_yaml(text, where, RuleBook, "a rule book")
    return book_of(parse_yaml(text, where, RulePack, "a rule pack"))
