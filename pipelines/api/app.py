"""The read API as a FastAPI application."""

# No postponed annotations here: FastAPI reads those of the routes, which name types of their function.

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from pipelines.api.help_page import HELP_PAGE
from pipelines.api.pages import MOST_ROWS, page_of
from pipelines.api.pages import Query as Wanted
from pipelines.api.rate import RateLimit
from pipelines.api.tokens import CUSTOMER_SCOPES, Token, TokenBook, TokenFileError
from pipelines.customers import CustomerTable
from pipelines.groups import GROUPINGS, GroupRule, daily_groups
from pipelines.query import parse_as_of
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from schemas.errors import MeterbeamError

__all__ = ["ApiOptions", "Rows", "build_app"]


@dataclass(frozen=True)
class ApiOptions:
    """What is served.

    Attributes:
        lake: Folder of the lake.
        tokens: File of tokens.
        per_second: Requests a second of one token.
        burst: Requests at once.
        groups: When a group of customers may be shown.
        customers: The table of customers; None: the one in the lake's folder.
    """

    lake: Path
    tokens: Path
    per_second: float
    burst: int
    groups: GroupRule
    customers: Path | None = None


class Rows(BaseModel):
    """A page of rows; decimals are text, times ISO 8601 in UTC."""

    rows: list[dict[str, Any]] = Field(description="Rows with the columns of the view.")
    as_of_run: int = Field(description="The run of the lake that the rows are as of.")
    next: str | None = Field(description="Cursor of the following page; null at the end.")


_bearer = HTTPBearer(auto_error=False)
_Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Most rows of a page.")]
_Cursor = Annotated[str | None, Query(description="`next` of the page before.")]
_AsOf = Annotated[str | None, Query(description="A moment (ISO 8601), a run number or a run id.")]
_Text = Annotated[str | None, Query(max_length=200)]
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class _Service:
    """What the routes share: tokens, the rate limit, the lake."""

    def __init__(self, options: ApiOptions) -> None:
        self.options = options
        self.book = TokenBook(options.tokens)
        self.rate = RateLimit(options.per_second, options.burst)
        Lake.open(options.lake)

    def scope(self, name: str) -> Callable[..., Token]:
        """A dependency: the caller's token, if it is valid, has the scope and does not ask too often."""

        def allowed(given: _Bearer) -> Token:
            token = None if given is None else self.book.find(given.credentials, datetime.now(UTC))
            if token is None:
                headers = {"WWW-Authenticate": "Bearer"}
                raise HTTPException(401, "no valid token", headers=headers)
            wait = self.rate.wait_s(token.name, time.monotonic())
            if wait:
                headers = {"Retry-After": str(math.ceil(wait))}
                raise HTTPException(429, "too many requests", headers=headers)
            mine = token.customer is None or name in CUSTOMER_SCOPES
            if name not in token.scopes or not mine:
                raise HTTPException(403, f"the token lacks the scope {name}")
            return token

        return allowed

    def lake(self, as_of: str | None) -> Lake:
        """The lake at present, or as of a moment."""
        return Lake.open(self.options.lake, as_of=parse_as_of(as_of))

    def accounts(self, customer: str) -> tuple[str, ...]:
        """Accounts of a customer."""
        try:
            return tuple(CustomerTable.of(self.options.lake, self.options.customers).accounts(customer))
        except MeterbeamError as error:
            raise HTTPException(500, "the server cannot read its table of customers") from error

    def page(self, token: Token, wanted: Wanted, as_of: str | None, limit: int, cursor: str | None) -> Rows:
        """A page of what the token may see."""
        if token.customer is not None:
            wanted = Wanted(
                wanted.view, wanted.equal, wanted.first, wanted.last, self.accounts(token.customer)
            )
        page = page_of(self.lake(as_of), wanted, limit=limit, cursor=cursor)
        return Rows(rows=page.rows, as_of_run=page.run_no, next=page.following)


def build_app(options: ApiOptions) -> FastAPI:
    """The application.

    Raises:
        MeterbeamError: There is no lake, or the tokens cannot be read.
    """
    service = _Service(options)
    app = FastAPI(
        title="Meterbeam",
        summary="Readings, days, bills, findings and queues of a lake, read only.",
        dependencies=[Depends(_known_parameters)],
        docs_url=None,  # theirs fetch scripts from elsewhere
        redoc_url=None,
    )
    app.get("/docs", include_in_schema=False)(lambda: HTMLResponse(HELP_PAGE))
    app.add_exception_handler(MeterbeamError, _as_answer)
    _meter_routes(app, service)
    _bill_routes(app, service)
    _other_routes(app, service)
    return app


def _as_answer(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MeterbeamError)
    if isinstance(error, TokenFileError):  # where it lies is nobody's business
        return JSONResponse({"detail": "the server cannot read its tokens"}, 500)
    return JSONResponse({"detail": error.as_dict()}, 400)


def _known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have: a misspelt filter would return everything."""
    known = sorted(parameter.alias for parameter in request.scope["route"].dependant.query_params)
    for name in request.query_params:
        if name not in known:
            raise HTTPException(422, f"no parameter {name!r}, expected of: {', '.join(known) or 'none'}")


def _equal(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _from(column: str, value: Any) -> tuple[str, Any] | None:
    return None if value is None else (column, _utc(value))


def _utc(value: Any) -> Any:
    """A time without an offset is in UTC."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _meter_routes(app: FastAPI, service: _Service) -> None:
    Readings = Annotated[Token, Depends(service.scope("readings"))]  # noqa: N806 a type
    Findings = Annotated[Token, Depends(service.scope("findings"))]  # noqa: N806 a type
    Moment = Annotated[datetime | None, Query()]  # noqa: N806 a type
    Day = Annotated[date | None, Query()]  # noqa: N806 a type

    def readings(
        token: Readings,
        meter_id: _Text = None,
        channel: _Text = None,
        start: Moment = None,
        end: Moment = None,
        as_of: _AsOf = None,
        limit: _Limit = 1000,
        cursor: _Cursor = None,
    ) -> Rows:
        """Slots that begin at start or later and before end, by meter, channel and time."""
        equal = _equal(meter_id=meter_id, channel=channel)
        wanted = Wanted("readings", equal, _from("start", start), _from("start", end))
        return service.page(token, wanted, as_of, limit, cursor)

    def days(
        token: Readings,
        meter_id: _Text = None,
        channel: _Text = None,
        first: Day = None,
        last: Day = None,
        as_of: _AsOf = None,
        limit: _Limit = 1000,
        cursor: _Cursor = None,
    ) -> Rows:
        """Local days first to last, by meter, channel and day."""
        equal = _equal(meter_id=meter_id, channel=channel)
        wanted = Wanted("days", equal, _from("local_day", first), _from("local_day", last))
        return service.page(token, wanted, as_of, limit, cursor)

    def findings(
        token: Findings,
        meter_id: _Text = None,
        rule: _Text = None,
        severity: _Text = None,
        first: Day = None,
        last: Day = None,
        as_of: _AsOf = None,
        limit: _Limit = 1000,
        cursor: _Cursor = None,
    ) -> Rows:
        """Rule hits of local days first to last, by meter and day."""
        equal = _equal(meter_id=meter_id, rule=rule, severity=severity)
        wanted = Wanted("findings", equal, _from("local_day", first), _from("local_day", last))
        return service.page(token, wanted, as_of, limit, cursor)

    for route in (readings, days, findings):
        app.get(f"/v1/{route.__name__}", response_model=Rows)(route)


def _bill_routes(app: FastAPI, service: _Service) -> None:
    Bills = Annotated[Token, Depends(service.scope("bills"))]  # noqa: N806 a type

    def bills(
        token: Bills,
        account_id: _Text = None,
        status: _Text = None,
        first: Annotated[date | None, Query()] = None,
        last: Annotated[date | None, Query()] = None,
        as_of: _AsOf = None,
        limit: _Limit = 1000,
        cursor: _Cursor = None,
    ) -> Rows:
        """Bills whose period ends on the days first to last, all revisions."""
        equal = _equal(account_id=account_id, status=status)
        wanted = Wanted("bills", equal, _from("period_end", first), _from("period_end", last))
        return service.page(token, wanted, as_of, limit, cursor)

    def lines(
        token: Bills, bill_id: str, as_of: _AsOf = None, limit: _Limit = 1000, cursor: _Cursor = None
    ) -> Rows:
        """Lines of a bill, of all its revisions."""
        return service.page(token, Wanted("bill_lines", {"bill_id": bill_id}), as_of, limit, cursor)

    app.get("/v1/bills", response_model=Rows)(bills)
    app.get("/v1/bills/{bill_id}/lines", response_model=Rows)(lines)


def _other_routes(app: FastAPI, service: _Service) -> None:
    Queues = Annotated[Token, Depends(service.scope("queues"))]  # noqa: N806 a type
    Runs = Annotated[Token, Depends(service.scope("runs"))]  # noqa: N806 a type
    Groups = Annotated[Token, Depends(service.scope("groups"))]  # noqa: N806 a type

    def queue(
        token: Queues, name: str, as_of: _AsOf = None, limit: _Limit = 1000, cursor: _Cursor = None
    ) -> Rows:
        """A queue by rank: change or state; or the faults by meter."""
        views = {"change": "change_queue", "state": "state_queue", "faults": "faults"}
        if name not in views:
            raise HTTPException(404, f"no queue of this name, expected one of: {', '.join(views)}")
        return service.page(token, Wanted(views[name]), as_of, limit, cursor)

    def runs(token: Runs, limit: _Limit = 1000, cursor: _Cursor = None) -> Rows:
        """Runs of the lake, oldest first."""
        return service.page(token, Wanted("runs"), None, limit, cursor)

    def groups(
        token: Groups, by: str, first: date, last: date, channel: str = "import", as_of: _AsOf = None
    ) -> Rows:
        """Daily totals of groups of customers; groups too small, or ruled by one customer, are left out."""
        if by not in GROUPINGS:
            raise HTTPException(404, f"no such grouping, expected one of: {', '.join(GROUPINGS)}")
        lake = service.lake(as_of)
        with connect(lake) as views:
            found = views.execute(daily_groups(by, service.options.groups), [channel, first, last])
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        for row in rows:
            row |= {"local_day": row["local_day"].isoformat(), "total": format(row["total"], "f")}
        return Rows(rows=rows, as_of_run=lake.run_no, next=None)

    app.get("/v1/queues/{name}", response_model=Rows)(queue)
    app.get("/v1/runs", response_model=Rows)(runs)
    app.get("/v1/groups", response_model=Rows)(groups)
