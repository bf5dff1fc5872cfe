"""Schema numbers from a Confluent-compatible schema registry."""

from __future__ import annotations

import json
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from schemas.errors import MeterbeamError

__all__ = ["registered"]

PATIENCE_S = 15


def registered(registry: str, topic: str, schema: str) -> int:
    """The number of a schema as subject ``TOPIC-value``; the same schema keeps its number.

    Args:
        registry: Address of the registry, ``http://host:port``.
        topic: The topic.
        schema: Avro schema as JSON text.

    Raises:
        MeterbeamError: It does not answer, or refuses the schema.
    """
    if urlsplit(registry).scheme not in ("http", "https"):
        raise MeterbeamError("--registry", "an address of another form", "http://HOST:PORT")
    place = f"schema registry {urlsplit(registry).hostname}, subject {topic}-value"
    request = Request(  # noqa: S310 its scheme was checked
        f"{registry.rstrip('/')}/subjects/{topic}-value/versions",
        json.dumps({"schema": schema, "schemaType": "AVRO"}).encode(),
        {"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    try:
        with urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            return int(json.load(answer)["id"])
    except (URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise MeterbeamError(place, str(error), "the number of the schema") from error
