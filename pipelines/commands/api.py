"""``meterbeam api``: serve a lake over HTTP, read only."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import socket

app = typer.Typer()

_Tokens = Annotated[Path, typer.Option("--tokens", metavar="FILE", help="File of tokens (hashes only).")]


@app.command("serve")
def serve(
    lake: Annotated[Path, typer.Option("--lake", metavar="DIR", help="Folder of the lake.")],
    tokens: _Tokens,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")] = 8000,
    rate: Annotated[float, typer.Option("--rate", min=0.01, help="Requests a second of a token.")] = 10,
    burst: Annotated[int, typer.Option("--burst", min=1, help="Requests of a token at once.")] = 60,
    min_group: Annotated[int, typer.Option("--min-group", min=1, help="Fewest customers of a group.")] = 15,
    max_share: Annotated[
        float, typer.Option("--max-share", min=0.01, max=1, help="Greatest share of one of them.")
    ] = 0.15,
    customers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Table of customers, on disk; default: the one in the lake's folder."
        ),
    ] = None,
) -> None:
    """Serve readings, days, bills, findings and queues of a lake; ends with Ctrl-C.

    OpenAPI stands at /openapi.json, a page to try it at /docs. Nothing that is asked for is logged.

    Example:
        meterbeam api serve --lake lake --tokens tokens.json

    Raises:
        MeterbeamError: The extra is not installed, there is no lake or no token, or the port is taken.
    """
    from contextlib import suppress

    from pipelines.groups import GroupRule
    from schemas.errors import MeterbeamError

    try:
        import uvicorn

        from pipelines.api.app import ApiOptions, build_app
    except ImportError as error:
        raise MeterbeamError("api serve", str(error), 'pip install "meterbeam[api]"') from error
    application = build_app(ApiOptions(lake, tokens, rate, burst, GroupRule(min_group, max_share), customers))
    listener = _listen(host, port)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(application, access_log=False, log_level="warning")).run([listener])


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is started: the server's own words for a taken one are a log entry."""
    import socket

    from schemas.errors import MeterbeamError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise MeterbeamError(
            f"{host}, port {port}", found, "an address of this machine and a free port (--host, --port)"
        ) from error


@app.command("token")
def token(
    tokens: _Tokens,
    name: Annotated[str, typer.Option("--name", help="Names the token, never a person.")],
    scope: Annotated[
        list[str],
        typer.Option("--scope", help="readings, bills, findings, queues, groups, runs; may be repeated."),
    ],
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="ID", help="Only what is this customer's.")
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option("--expires", formats=["%Y-%m-%d"], help="First day without it, UTC."),
    ] = None,
) -> None:
    """Make a token and print it, once: the file keeps its hash.

    Example:
        meterbeam api token --tokens tokens.json --name portal --scope readings --scope bills

    Raises:
        UsageError: A scope is none, or not one for customers.
    """
    from datetime import UTC

    from pipelines.api.tokens import CUSTOMER_SCOPES, SCOPES, make_token
    from schemas.errors import UsageError

    allowed = SCOPES if customer is None else CUSTOMER_SCOPES
    for each in scope:
        if each not in allowed:
            raise UsageError.unknown("--scope", each, allowed)
    end = None if expires is None else expires.replace(tzinfo=UTC)
    typer.echo(make_token(tokens, name, tuple(dict.fromkeys(scope)), customer, end))


@app.command("revoke")
def revoke(
    tokens: _Tokens, name: Annotated[str, typer.Option("--name", help="The name it was made with.")]
) -> None:
    """Take a token back: a running server knows it no more.

    Example:
        meterbeam api revoke --tokens tokens.json --name portal
    """
    from pipelines.api.tokens import revoke_token

    revoke_token(tokens, name)
