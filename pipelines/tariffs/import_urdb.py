"""Tariffs from the US Utility Rate Database: a JSON file of its API to one YAML file a rate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from pipelines.store.parts import whole_file
from pipelines.tariffs.urdb_calendar import Schedule, calendar_fields, read_schedule
from pipelines.tariffs.urdb_charges import (
    coincident_charges,
    demand_charges,
    energy_charges,
    fixed_charges,
    fuel_charges,
    minimum,
)
from pipelines.tariffs.urdb_export import export_charges, rule_of
from pipelines.tariffs.urdb_rate import HOURS, MONTHS, UrdbRate
from schemas.errors import MeterbeamError
from schemas.tariff import parse_tariff

__all__ = ["import_rates", "read_rates", "tariff_fields", "tariff_text"]

CURRENCIES = {"USA": "USD", "CAN": "CAD"}
INEXPRESSIBLE = ("demandreactivepowercharge", "annualmincharge")
FIRST_DAY = "2000-01-01"
DESCRIPTIVE = {
    "label", "name", "utility", "sector", "eia", "eiaid", "description", "servicetype", "uri", "source",
    "sourceparent", "approved", "is_default", "country", "startdate", "enddate", "effectivedate",
    "latest_update", "supercedes", "revisions", "usenetmetering", "phasewiring", "voltageminimum",
    "voltagemaximum", "voltagecategory", "peakkwcapacitymin", "peakkwcapacitymax", "peakkwcapacityhistory",
    "peakkwhusagemin", "peakkwhusagemax", "peakkwhusagehistory",
}  # fmt: skip
"""Fields that say whose rate it is and who may have it, and charge nothing."""
LONGEST_NAME = 120
"""Characters of a tariff's id, which is the name of its file."""
EXPECTED = "rates of the utility_rates API: items with energyratestructure and its schedules"


def read_rates(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rates of a file with their places: an answer of the API, a list of rates, or one rate.

    Raises:
        MeterbeamError: There is no such file, or it holds no rates.
    """
    try:
        content = json.loads(
            path.read_text("utf-8"), parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_once
        )
    except FileNotFoundError as error:
        raise MeterbeamError(str(path), "no such file", EXPECTED) from error
    except (OSError, ValueError, RecursionError) as error:
        raise MeterbeamError(str(path), str(error).splitlines()[0], f"JSON: {EXPECTED}") from error
    items = content.get("items", [content]) if isinstance(content, dict) else content
    if not isinstance(items, list) or not items:
        raise MeterbeamError(str(path), "no list of rates" if items else "no rates", EXPECTED)
    found = []
    for place, item in enumerate(items):
        where = f"{path}, rate {place + 1}" if len(items) > 1 else str(path)
        if not isinstance(item, dict):
            raise MeterbeamError(where, repr(item)[:80], "an object")
        if "energyRateStrux" in item:
            raise MeterbeamError(where, "energyRateStrux, as in the bulk download", EXPECTED)
        found.append((where, item))
    return found


def import_rates(path: Path, out: Path, zone: str) -> Iterator[Path | MeterbeamError]:
    """Write a YAML file for each rate; a rate that cannot be expressed comes out as its error.

    Args:
        path: JSON.
        out: Folder, made where it is not there.
        zone: IANA time zone of the tariffs.

    Raises:
        MeterbeamError: The file or the folder cannot be used.
    """
    rates = read_rates(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MeterbeamError(str(out), str(error.strerror), "a folder to write to") from error
    written: dict[str, str] = {}
    for where, fields in rates:
        try:
            rate = UrdbRate(where, fields)
            name, text = tariff_text(rate, zone)
            if name in written:
                raise rate.error("label", f"{name!r}, as {written[name]} has", "labels that differ")
        except MeterbeamError as error:
            yield error
            continue
        written[name] = where
        target = out / f"{name}.yaml"
        with whole_file(target) as file:
            file.write(text.encode())
        yield target


def tariff_text(rate: UrdbRate, zone: str) -> tuple[str, str]:
    """A rate's id and its tariff as YAML, with what was assumed as comments.

    Raises:
        MeterbeamError: Something in it cannot be expressed, or does not fit; names the place.
    """
    fields = tariff_fields(rate, zone)
    body = yaml.dump(
        fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    text = f"{_head(rate)}{body}"
    try:
        parse_tariff(text, fields["id"])
    except MeterbeamError as error:
        raise rate.error(error.where, error.found, error.expected) from error
    return fields["id"], text


def tariff_fields(rate: UrdbRate, zone: str) -> dict[str, Any]:
    """The fields of the tariff of a rate; what was assumed is then known to the rate.

    Raises:
        MeterbeamError: Something in it cannot be expressed, or does not fit; names the place.
    """
    fields = {"id": _identity(rate), "version": 1, "effective": _effective(rate)}
    country = (rate.text("country") or "USA").upper()
    if country not in CURRENCIES:
        raise rate.error(
            "country", repr(country), f"one of: {', '.join(CURRENCIES)}, whose currency is known"
        )
    rate.assumed += [
        f"hours are those of {zone}; URDB names no time zone (--timezone sets another)",
        "no holidays; weekends are Saturday and Sunday; a month's hours change at its first day",
        "only the total is rounded, to cents; no taxes",
    ]
    fields |= {"currency": CURRENCIES[country], "timezone": zone}
    fields["rounding"] = {"mode": "half_up", "kwh_dp": 6, "kw_dp": 6, "money_dp": 2, "money_at": "total"}
    fields |= _calendar_and_charges(rate)
    for name in rate.left_over():
        # Units are filled in by the database, also where nothing has them.
        if name not in DESCRIPTIVE and not name.endswith(("unit", "units")):
            rate.assumed.append(f"{name} is left out: read it and add what it charges")
    return fields


def _calendar_and_charges(rate: UrdbRate) -> dict[str, Any]:
    _refuse_inexpressible(rate)
    structure = rate.structure("energyratestructure")
    if structure:
        schedule = read_schedule(rate, "energy", structure, "p")
    else:
        always = [[0] * HOURS for _ in range(MONTHS)]
        schedule = Schedule("p", always, always)
        rate.assumed.append("no energyratestructure: energy is not charged")
    rule = rule_of(rate)
    in_order = rule not in (None, "Net Metering")
    scope = "bill_total_chronological" if in_order else "bill_total_prorata"
    energy = energy_charges(rate, structure, schedule, scope) if structure else []
    counted = any("demand" in charge.get("tiers", {}) for charge in energy)
    demands = rate.structure("demandratestructure")
    if demands:
        scheduled = read_schedule(rate, "demand", demands, "d")
        of_demand = scheduled if _any_priced(demands) else None
    else:
        of_demand = None
        _refuse_unpriced(rate, "demand")
    charges = [
        *fixed_charges(rate),
        *energy,
        *fuel_charges(rate, schedule),
        *demand_charges(rate, demands, of_demand, counted=counted),
        *coincident_charges(rate),
    ]
    payable = [charge["id"] for charge in charges if charge["type"] == "energy"]
    charges += export_charges(rate, rule, structure, schedule, payable) if structure else []
    # What is sold as a whole stands apart; other credits lower what the minimum is held against.
    apart = rule == "Buy All Sell All"
    covered = [charge["id"] for charge in charges if not (apart and charge["type"] == "export")]
    charges += minimum(rate, covered)
    if not charges:
        raise rate.error("energyratestructure", "no charge of any kind", "at least one price")
    calendar = calendar_fields(schedule, of_demand)
    if any(charge["type"] == "coincident_demand" for charge in charges):
        calendar["events"] = {"system_peak": {"source": "event_feed"}}
    return {"calendar": calendar, "charges": charges}


def _any_priced(structure: list[list[Any]]) -> bool:
    return any(tier.rate for tiers in structure for tier in tiers)


def _refuse_unpriced(rate: UrdbRate, kind: str) -> None:
    """A schedule of zeros without a structure is filled in by the database; any other points nowhere."""
    for day in ("weekday", "weekend"):
        name = f"{kind}{day}schedule"
        for month, row in enumerate(rate.schedule(name) or ()):
            for hour, cell in enumerate(row):
                if cell:
                    expected = f"a period of {kind}ratestructure: none"
                    raise rate.error(f"{name}[{month}][{hour}]", f"period {cell}", expected)


def _refuse_inexpressible(rate: UrdbRate) -> None:
    for field in INEXPRESSIBLE:
        amount = rate.number(field)
        if amount:
            raise rate.error(field, str(amount), "none: a tariff cannot express it")
    shares = rate.monthly("demandratchetpercentage") or []
    for month, share in enumerate(shares):
        if share:
            place = f"demandratchetpercentage[{month}]"
            raise rate.error(place, str(share), "lookbackpercent with lookbackmonths or lookbackrange")


def _identity(rate: UrdbRate) -> str:
    given = rate.text("label") or " ".join(filter(None, (rate.text("utility"), rate.text("name"))))
    name = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")
    if not name:
        raise rate.error("label", repr(given) if given else "nothing", "a label, or a utility and a name")
    if len(name) > LONGEST_NAME:
        found = f"{given[:40]!r} … of {len(given)} characters"
        raise rate.error("label", found, f"at most {LONGEST_NAME}: it names the file")
    return name


def _effective(rate: UrdbRate) -> dict[str, str]:
    first, last = _day(rate, "startdate"), _day(rate, "enddate")
    if first is None:
        rate.assumed.append(f"no startdate: in force from {FIRST_DAY}")
    if last is not None and last < (first or FIRST_DAY):
        raise rate.error("enddate", last, f"a day not before {first or FIRST_DAY}")
    effective = {"from": first or FIRST_DAY}
    return effective if last is None else {**effective, "to": last}


def _day(rate: UrdbRate, field: str) -> str | None:
    """A date given in seconds since 1970."""
    seconds = rate.whole(field)
    if seconds is None:
        return None
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError) as error:
        raise rate.error(field, str(seconds), "seconds since 1970") from error


def _head(rate: UrdbRate) -> str:
    """Comment lines: where the rate comes from, and what was assumed."""
    title = ", ".join(filter(None, (rate.text("utility"), rate.text("name"), rate.text("sector"))))
    lines = [f"From the US Utility Rate Database: {title or 'a rate'}"]
    lines += [f"{field}: {text}" for field in ("uri", "source") if (text := rate.text(field))]
    if (service := rate.text("servicetype")) not in (None, "Bundled"):
        lines.append(f"Covers {service} only")
    lines += ["", "Assumed:", *(f"- {sentence}" for sentence in dict.fromkeys(rate.assumed))]
    flat = (re.sub(r"\s+", " ", line).strip() for line in lines)
    return "".join(f"# {line}".rstrip() + "\n" for line in flat)


class _Dumper(yaml.SafeDumper):
    """Without anchors: a tariff is read by people."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name.lower() for name, _ in pairs]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(f"the field {name!r} twice in one object")
    return dict(pairs)
