"""The HTTP application: routes, error handlers, and what stands in front of them."""

from typing import Any
from urllib.parse import urlsplit

import sqlalchemy.exc
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.alerts import Alerts
from gateway.dependencies import Resources
from gateway.docs_page import add_docs
from gateway.errors import MEDIA_TYPE, Problem, internal_error, problem_from, unavailable
from gateway.front import LOOPBACK_NAMES, BoundedBody, Front
from gateway.openapi import describe
from gateway.routes import accounts, auth, health, signals, strategies
from gateway.routes.webhook import PATH as WEBHOOK_PATH
from gateway.routes.webhook import Webhook
from gateway.validation import problem_from_http, problem_from_validation
from tradekit.service.errors import ServiceError

OPENAPI_PATH = "/openapi.json"


def create_app(resources: Resources) -> ASGIApp:
    """The whole application."""
    rest = _rest(resources)
    inner: ASGIApp = BoundedBody(rest)
    if resources.settings.cors_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=resources.settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    webhook = Webhook(resources, Alerts(resources.execution))

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        app = webhook if scope["path"] == WEBHOOK_PATH else inner
        await app(scope, receive, send)

    public = urlsplit(resources.settings.public_url)
    own_name = f"[{public.hostname}]" if ":" in (public.hostname or "") else public.hostname or ""
    return Front(dispatch, hosts=(*LOOPBACK_NAMES, own_name), https=public.scheme == "https")


def _rest(resources: Resources) -> FastAPI:
    app = FastAPI(
        title="TradingBot AI",
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
        redirect_slashes=False,
    )
    app.state.resources = resources
    api = APIRouter(prefix="/api/v1")
    for route in (auth, accounts, signals, strategies):
        api.include_router(route.router)
    app.include_router(api)
    app.include_router(health.router)
    add_docs(app, openapi_path=OPENAPI_PATH)
    _add_error_handlers(app)
    describe(app, public_url=resources.settings.public_url)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    async def on_problem(_request: Request, error: Exception) -> JSONResponse:
        return _response(_problem_of(error))

    # The last one is told to the client here, and raised again for the log.
    for kind in (
        Problem,
        ServiceError,
        RequestValidationError,
        HTTPException,
        *_DATABASE_FAILURES,
        Exception,
    ):
        app.add_exception_handler(kind, on_problem)


_DATABASE_FAILURES: tuple[type[Exception], ...] = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    OSError,
)


def _problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case ServiceError():
            return problem_from(error)
        case RequestValidationError():
            return problem_from_validation(error)
        case HTTPException():
            return problem_from_http(error)
    if isinstance(error, _DATABASE_FAILURES):
        return unavailable("database_unavailable", "The database does not answer. Try again in a moment.")
    return internal_error()


def _response(problem: Problem) -> JSONResponse:
    document: dict[str, Any] = problem.document()
    return JSONResponse(document, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
