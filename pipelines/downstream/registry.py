"""Schema numbers from a Confluent-compatible schema registry, with a log-in where it wants one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from schemas.errors import MeterbeamError

__all__ = ["Registry", "parted"]

PATIENCE_S = 15
NAMESPACE = "schema.registry."
URL, USER, BEARER = "url", "basic.auth.user.info", "bearer.auth.token"
SOURCES = {"basic.auth.credentials.source": "USER_INFO", "bearer.auth.credentials.source": "STATIC_TOKEN"}
"""Settings of Confluent's clients that say where the log-in stands, and the one value each may have here."""
LOG_IN = (
    f"one of {NAMESPACE}{USER}=USER:PASSWORD and {NAMESPACE}{BEARER}=TOKEN in the file of client settings"
)


class _Stay(HTTPRedirectHandler):
    """A log-in is for the host that was named: no other one is asked."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Registry:
    """A registry and how to log in.

    Attributes:
        address: ``http://host:port`` or ``https://…``; TLS trusts what the system trusts, or the file that
            ``SSL_CERT_FILE`` names.
        authorization: Value of the header of this name; None for none. No message shows it.
    """

    address: str
    authorization: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.username is not None or parts.password is not None:
            raise MeterbeamError("schema registry", "an address with a log-in", LOG_IN)
        if parts.scheme not in ("http", "https") or not parts.hostname or not _has_port(self.address):
            raise MeterbeamError(
                "schema registry", "an address of another form", "http://HOST:PORT or https://HOST"
            )
        if not (self.authorization or "").isprintable() or not (self.authorization or "").isascii():
            raise MeterbeamError("schema registry", "a token that no header may hold", "printable ASCII")

    def number(self, topic: str, schema: str) -> int:
        """The number of a schema as subject ``TOPIC-value``; the same schema keeps its number.

        Args:
            topic: The topic.
            schema: Avro schema as JSON text.

        Raises:
            MeterbeamError: It does not answer, or refuses the log-in or the schema.
        """
        place = f"schema registry {urlsplit(self.address).hostname}, subject {topic}-value"
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        request = Request(  # noqa: S310 its scheme was checked
            f"{self.address.rstrip('/')}/subjects/{topic}-value/versions",
            json.dumps({"schema": schema, "schemaType": "AVRO"}).encode(),
            headers,
        )
        try:
            with build_opener(_Stay).open(request, timeout=PATIENCE_S) as answer:
                return int(json.load(answer)["id"])
        except HTTPError as error:
            refused = error.code in (401, 403)
            raise MeterbeamError(
                place, f"HTTP {error.code}", LOG_IN if refused else "the number of the schema"
            ) from error
        except (URLError, HTTPException, TimeoutError, ValueError, KeyError, TypeError) as error:
            raise MeterbeamError(place, str(error), "the number of the schema") from error


def parted(settings: Mapping[str, str], address: str | None) -> tuple[dict[str, str], Registry | None]:
    """The settings of the Kafka client alone, and the registry that was named beside or among them.

    The registry's are named as in Confluent's clients, with or without ``schema.registry.`` in front.

    Args:
        settings: ``name=value`` of one file.
        address: The registry, if it was named elsewhere; that wins.

    Raises:
        MeterbeamError: A setting of a registry that is not known, two log-ins, or a log-in for none.
    """
    client, own = {}, {}
    for name, value in settings.items():
        short = name.removeprefix(NAMESPACE)
        if short != name or short in (USER, BEARER, *SOURCES):
            own[short] = value
        else:
            client[name] = value
    for name, value in own.items():
        if name not in (URL, USER, BEARER) and SOURCES.get(name) != value:
            raise MeterbeamError(f"schema registry, setting {name}", "a setting not known here", LOG_IN)
    address = address or own.get(URL)
    if USER in own and BEARER in own:
        raise MeterbeamError("schema registry", "two log-ins", LOG_IN)
    if address is None:
        if own:
            raise MeterbeamError(
                "schema registry", "a log-in without an address", f"--registry or {NAMESPACE}{URL}"
            )
        return client, None
    return client, Registry(address, _authorization(own))


def _authorization(own: Mapping[str, str]) -> str | None:
    if BEARER in own:
        return f"Bearer {own[BEARER]}"
    if USER in own:
        return f"Basic {base64.b64encode(own[USER].encode()).decode()}"
    return None


def _has_port(address: str) -> bool:
    """Whether the port is a number, or left to the scheme."""
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False
