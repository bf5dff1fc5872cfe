"""Trained models on disk: saved with skops, checked on load, and the one that ships with the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from models.theft_columns import COLUMNS, OWN
from models.trained import METHODS, Model
from models.trees import LEAF, Trees
from schemas.errors import MeterbeamError
from transforms.storage import whole_file

__all__ = ["Card", "default_model", "load_model", "model_in_force", "save_default", "save_model"]

FORMAT = 1
DEFAULT = "default_model.npz"
OF_LAKE = Path("models") / "theft.skops"
"""Where a lake keeps the model that its detect runs take, unless they are told another."""
SHOWN = 8
Arrays = Mapping[str, Any]
FIELDS = tuple(field.name for field in fields(Trees))
_FORESTS = {"blind": len(OWN), "sighted": len(COLUMNS)}
"""Forests of a file, and how many columns each is given."""


@dataclass(frozen=True)
class Card:
    """What a model file says of itself.

    Attributes:
        method: One of ``models.trained.METHODS``.
        columns: What it must be given.
        own: Weight of the change score beside it.
        population: What it was taught with: source, meters, days, lessons.
        measured: How it orders meters it never saw, beside the untaught order.
        code_version: Of the Meterbeam that trained it.
        ranked: Whether it was taught with ranks; files of older versions do not say, and were not.
    """

    method: str
    columns: list[str]
    own: float
    population: dict[str, Any]
    measured: dict[str, float]
    code_version: str
    ranked: bool = False


def save_model(
    path: Path, model: Model, population: dict[str, Any], measured: dict[str, float], code_version: str
) -> str:
    """Write a model file, whole or not at all.

    Returns:
        What queues call the model: its method and the first eight digits of its hash.
    """
    from skops.io import dumps  # slow to import: only who has a model of their own pays

    card, arrays = _packed(model, population, measured, code_version)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = _hash(card, arrays)
    with whole_file(path) as out:
        out.write(dumps({"format": FORMAT, "hash": digest, "card": card, "trees": arrays}))
    return _name(model.method, digest)


def load_model(path: Path) -> tuple[Model, Card]:
    """Read a model file and check it: no foreign types, known columns, sound trees, unchanged content.

    Raises:
        MeterbeamError: Says which of these does not hold.
    """
    from skops.io import get_untrusted_types, loads

    if not path.is_file():
        raise MeterbeamError(str(path), "no such file", "a model written by meterbeam train")
    data = path.read_bytes()
    try:
        foreign = get_untrusted_types(data=data)
        if foreign:
            raise MeterbeamError(str(path), f"types {', '.join(foreign)}", "plain arrays and text only")
        content = loads(data, trusted=[])
    except (BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise MeterbeamError(str(path), "no skops file", "a model written by meterbeam train") from error
    names = {"format", "hash", "card", "trees"}
    if not isinstance(content, dict) or set(content) != names or content["format"] != FORMAT:
        raise MeterbeamError(str(path), "another content", f"a theft model of format {FORMAT}")
    return _unpacked(str(path), content["card"], content["trees"], content["hash"])


def save_default(path: Path, model: Model, population: dict[str, Any], code_version: str) -> None:
    """Write the model that ships with the package, for numpy alone to read."""
    card, arrays = _packed(model, population, {}, code_version)
    with whole_file(path) as out:
        np.savez_compressed(out, card=np.array(card), **arrays)


@lru_cache(maxsize=1)
def default_model() -> Model:
    """The model that ships with the package: taught on other meters than those it will rank."""
    where = files("pipelines.batch") / DEFAULT
    with where.open("rb") as stored, np.load(stored, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files if name != "card"}
        card = str(content["card"])
    return _unpacked(DEFAULT, card, arrays, _hash(card, arrays))[0]


def model_in_force(lake: Path, path: Path | None = None) -> Model:
    """The model a detect run takes: the one it is told, else the lake's own, else the package's.

    Read anew by every run, so that a follower or a schedule beside a stream takes a new one at once.

    Raises:
        MeterbeamError: The file is no model, or not as it was saved.
    """
    own = lake / OF_LAKE
    if path is None and own.is_file():
        path = own
    return default_model() if path is None else load_model(path)[0]


def _packed(
    model: Model, population: dict[str, Any], measured: dict[str, float], code_version: str
) -> tuple[str, dict[str, Any]]:
    card = Card(model.method, list(COLUMNS), model.own, population, measured, code_version, model.ranked)
    forests = {"blind": model.blind, "sighted": model.sighted}
    arrays = {
        f"{forest}.{field}": getattr(trees, field)
        for forest, trees in forests.items()
        if trees is not None
        for field in FIELDS
    }
    return json.dumps(asdict(card), sort_keys=True), arrays


def _unpacked(where: str, text: str, arrays: Arrays, digest: str) -> tuple[Model, Card]:
    if _hash(text, arrays) != digest:
        raise MeterbeamError(where, f"content that is not that of hash {digest[:SHOWN]}", "an unchanged file")
    card = Card(**json.loads(text))
    if tuple(card.columns) != COLUMNS or card.method not in METHODS:
        unknown = [name for name in card.columns if name not in COLUMNS]
        found = f"the column {unknown[0]!r}" if unknown else f"{len(card.columns)} columns, {card.method!r}"
        raise MeterbeamError(where, found, "columns and methods of this version: train it anew")
    blind, sighted = (_trees(where, arrays, name, count) for name, count in _FORESTS.items())
    if blind is None:
        raise MeterbeamError(where, "no forest", "one for meters without a feeder meter, at least")
    name = "default" if where == DEFAULT else _name(card.method, digest)
    return Model(card.method, blind, sighted, card.own, card.ranked, name), card


def _trees(where: str, arrays: Arrays, forest: str, columns: int) -> Trees | None:
    """One forest of a file, checked; None where it has none."""
    mine: dict[str, Any] = {field: arrays.get(f"{forest}.{field}") for field in FIELDS}
    if all(array is None for array in mine.values()):
        return None
    if any(array is None for array in mine.values()) or not _sound(Trees(**mine), columns):
        raise MeterbeamError(where, f"a {forest} forest that leads astray", "nodes that lead to later nodes")
    return Trees(**mine)


def _sound(trees: Trees, columns: int) -> bool:
    """Whether every way through the trees stays inside and ends."""
    nodes = np.arange(len(trees.column))
    if any(len(getattr(trees, field)) != len(nodes) for field in FIELDS if field != "roots"):
        return False
    asks = trees.column != LEAF
    onward = np.stack([trees.left[asks], trees.right[asks]])
    inside = (onward > nodes[asks]).all() and (onward < len(nodes)).all()
    named = (trees.column >= LEAF).all() and (trees.column < columns).all()
    roots = len(trees.roots) > 0 and (trees.roots >= 0).all() and (trees.roots < len(nodes)).all()
    return bool(inside and named and roots and np.isfinite(trees.value).all())


def _hash(card: str, arrays: Arrays) -> str:
    digest = sha256(card.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _name(method: str, digest: str) -> str:
    return f"{method} {digest[:SHOWN]}"
