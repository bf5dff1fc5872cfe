"""Tariffs from YAML files, all the versions of a folder, and what it says of bills beside them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from schemas.billing_rules import RULES_FILE, BillingRules
from schemas.errors import MeterbeamError
from schemas.tariff_version import Tariff
from schemas.yaml_model import parse_yaml, read_yaml

__all__ = ["load_billing_rules", "load_tariff", "load_tariffs", "parse_tariff"]

WHAT = "a tariff"


def parse_tariff(text: str, where: str) -> Tariff:
    """One tariff version from YAML text.

    Args:
        text: The file's content.
        where: Its name, for messages.

    Raises:
        MeterbeamError: Names the file, the line, what stands there and what was expected.
    """
    return parse_yaml(text, where, Tariff, WHAT)


def load_tariff(path: Path) -> Tariff:
    """One tariff version from a YAML file.

    Raises:
        MeterbeamError: There is no such file, or it is wrong; names the line.
    """
    return read_yaml(path, Tariff, WHAT)


def load_billing_rules(folder: Path) -> BillingRules:
    """What a tariff folder says beside tariffs; empty rules where it has no such file.

    Raises:
        MeterbeamError: It is wrong; names the line.
    """
    path = folder.joinpath(RULES_FILE)
    return read_yaml(path, BillingRules, "billing rules") if path.is_file() else BillingRules()


def load_tariffs(folder: Path) -> dict[str, list[Tariff]]:
    """All tariff versions below a folder, by id, each id's in the order they come into force.

    Raises:
        MeterbeamError: A file is wrong, or two versions of a tariff begin on one day.
    """
    if not folder.is_dir():
        raise MeterbeamError(str(folder), "no folder", "a folder of tariff YAML files")
    found: dict[str, list[tuple[Tariff, Path]]] = {}
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        if path == folder.joinpath(RULES_FILE):
            continue
        tariff = load_tariff(path)
        found.setdefault(tariff.id, []).append((tariff, path))
    for name, versions in found.items():
        versions.sort(key=lambda item: (item[0].effective.from_, item[0].version))
        for (earlier, there), (later, here) in pairwise(versions):
            if earlier.effective.from_ == later.effective.from_ or earlier.version == later.version:
                raise MeterbeamError(
                    f"{here}: tariff {name}",
                    f"version {later.version} from {later.effective.from_}, beside version "
                    f"{earlier.version} from {earlier.effective.from_} in {there}",
                    "versions that differ in number and in first day",
                )
    return {name: [tariff for tariff, _ in versions] for name, versions in found.items()}
