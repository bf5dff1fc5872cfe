"""The rule pack a lake goes on with: the one it is given, or that of its last run."""

from __future__ import annotations

from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError
from schemas.rulepack import RulePack, load_rule_pack
from schemas.yaml_model import parse_yaml

__all__ = ["rules_in_force"]


def rules_in_force(lake: Lake, name: str | None) -> RulePack:
    """The pack of this name or file; without one that of the lake's last run, ``default`` in a new lake.

    Raises:
        MeterbeamError: There is no such pack, a field is wrong, or the last run's pack is not known any more.
    """
    if name is not None:
        return load_rule_pack(name)
    runs = lake.runs()
    former = runs["rules"][-1].as_py() if runs.num_rows else None
    if former is None:
        return load_rule_pack("default")
    where = f"{lake.path}, rules of its last run"
    try:
        return parse_yaml(former, where, RulePack, "a rule pack")
    except MeterbeamError as error:  # an older version's pack may say what this one no longer knows
        expected = "a pack that this version knows: name one with --rules"
        raise MeterbeamError(where, error.found, expected) from error
