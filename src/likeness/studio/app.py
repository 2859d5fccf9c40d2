"""The application: all routes, errors in one shape, and the engines while it runs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from likeness.common.errors import LikenessError
from likeness.common.io import write_text
from likeness.studio import (
    blind,
    clips,
    events,
    files,
    forms,
    generate,
    library,
    pages,
    queue_routes,
    uploads,
    voices,
)
from likeness.studio.api_page import STYLE, example, to_html, to_markdown
from likeness.studio.crashes import crash
from likeness.studio.engine import Engine
from likeness.studio.events import Feed
from likeness.studio.gauges import Gpus, Jobs
from likeness.studio.models import Models
from likeness.studio.observe import Metrics, Observer
from likeness.studio.problems import Problem
from likeness.studio.security import Guard, Keys
from likeness.studio.state import State, state_of
from likeness.studio.worker import Worker

# In the order of docs/api.md.
ROUTES = (generate, voices, library, blind, clips, files, forms, uploads, queue_routes)
SHUTDOWN_SECONDS = 1  # for answers that are being sent when it ends
MOST_BYTES = 1 << 20  # of a request's body
TOKEN = "$TOKEN"  # in the example of the page, for a shell to fill in


class Login(generate.Asked):
    token: str


def make_state(root: Path, keys: Keys, queue: int, wait: float) -> State:
    """What a server of the repository at `root` works with. Raises `LikenessError` for wrong params."""
    models, metrics = Models(root), Metrics()
    engines = {}
    for kind, bases in models.bases.items():
        if (first := models.first(kind)) is not None:
            speech = bases if kind == "speech" else []
            worker = Worker(kind, root, first._asdict(), speech)
            engines[kind] = engine = Engine(kind, worker, queue, wait)
            metrics.watch(kind, engine.queue_length, engine.is_ready)
    for gauges in (Jobs(root), Gpus()):
        metrics.registry.register(gauges)
    return State(root, keys, models, engines, metrics)


def guarded(state: State) -> ASGIApp:
    """The application behind its guard, with every answer counted."""
    return Observer(Guard(shaped(make_app(state)), state.keys), state.metrics)


def shaped(app: ASGIApp) -> ASGIApp:
    """A body that is announced as too large is a 413 of ours; Starlette's own is plain text."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        plain = False

        async def send_shaped(message: Message) -> None:
            nonlocal plain
            if message["type"] == "http.response.start" and message["status"] == 413:
                kind = Headers(raw=message["headers"]).get("content-type", "")
                if plain := kind.startswith("text/plain"):
                    problem = Problem(413, "too_large", "the body is too large; send less at once")
                    await problem.response()(scope, receive, send)
            if not plain:
                await send(message)

        await app(scope, receive, send_shaped)

    return answer


def make_app(state: State | None = None) -> FastAPI:
    """The application alone; without a state it can only describe itself."""
    app = FastAPI(
        title="Likeness",
        docs_url=None,  # FastAPI's page asks another server for its scripts
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        max_body_size=MOST_BYTES,
    )
    app.state.studio = state
    if state:
        app.state.feed = Feed(partial(queue_routes.views, state.root))
    for module in (*ROUTES, events, pages):
        app.include_router(module.router)
    app.get("/api/session", openapi_extra=example("/api/session"))(show_session)
    app.post("/api/session", openapi_extra=example("/api/session", {"token": TOKEN}))(log_in)
    for path, route in (
        ("/health/live", live), ("/health/ready", ready), ("/metrics", show_metrics),
    ):  # fmt: skip
        app.get(path, openapi_extra=example(path))(route)
    app.get("/docs", include_in_schema=False)(show_docs)
    app.get("/docs.css", include_in_schema=False)(show_style)
    for error, answer in (
        (Problem, _problem), (HTTPException, _http), (RequestValidationError, _invalid),
        (LikenessError, _mistake), (Exception, _crash),
    ):  # fmt: skip
        app.add_exception_handler(error, answer)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    for engine in app.state.studio.engines.values():
        engine.start()
    yield


class Server(uvicorn.Server):
    """Ends the engines first, so that it need not wait for what they compute."""

    def __init__(self, state: State) -> None:
        super().__init__(
            uvicorn.Config(
                guarded(state),
                log_config=None,
                access_log=False,
                ws="websockets-sansio",
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )
        self._engines = state.engines.values()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.gather(*(engine.stop() for engine in self._engines))
        await super().shutdown(sockets)


# --- routes ---------------------------------------------------------------------------------------


async def log_in(body: Login, request: Request) -> Response:
    """Exchange the token for a cookie, which a browser then sends by itself while the token is valid."""
    keys = state_of(request).keys
    if not keys.opened_by(body.token):
        raise Problem(
            401, "invalid_api_key", "not the token that the studio printed", param="token"
        )
    answer = JSONResponse({"cookie": keys.cookie})
    answer.set_cookie(keys.cookie, keys.session, httponly=True, samesite="strict", path="/")
    return answer


async def show_session(request: Request) -> dict[str, bool]:
    """Whether the request has the cookie. No token is needed."""
    return {"open": state_of(request).keys.admit(request.headers)}


async def live() -> dict[str, str]:
    """The server answers. No token is needed."""
    return {"status": "live"}


async def ready(request: Request) -> JSONResponse:
    """Whether each model is loaded, else 503. No token is needed."""
    engines = state_of(request).engines
    states = {name: engine.is_ready() for name, engine in engines.items()}
    fine = bool(states) and all(states.values())
    return JSONResponse({"ready": fine, "engines": states}, 200 if fine else 503)


def show_metrics(request: Request) -> Response:
    """Requests, durations, queues, jobs, losses and memory of GPUs, for Prometheus."""
    return Response(
        generate_latest(state_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST
    )


def show_docs(request: Request) -> HTMLResponse:
    return HTMLResponse(to_html(request.app.openapi()))


def show_style() -> Response:
    return Response(STYLE, media_type="text/css")


# --- errors ---------------------------------------------------------------------------------------


async def _problem(_: Request, error: Any) -> Response:
    return error.response()  # type: ignore[no-any-return]


async def _http(request: Request, error: Any) -> Response:
    """What the framework itself refuses, in our words."""
    code, line = {
        404: ("not_found", "there is no such address; /docs lists all"),
        405: ("wrong_method", f"this address takes no {request.method}; /docs says what it takes"),
        413: ("too_large", error.detail),
    }.get(error.status_code, ("refused", error.detail))
    return Problem(error.status_code, code, str(line), headers=error.headers).response()


async def _invalid(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"][1:])
    return Problem(400, first["type"], f"{param}: {first['msg']}", param=param or None).response()


async def _mistake(request: Request, error: Any) -> Response:
    """What a stage would say in one line, without the folder that the repository lies in."""
    line = str(error).replace(f"{state_of(request).root}/", "")
    return Problem(409, "not_possible", line).response()


async def _crash(_: Request, error: Any) -> Response:
    crash(error)
    return Problem(500, "error", "the studio failed; its log has the reason").response()


def write_page(argv: Sequence[str]) -> None:
    """Write the page of the API to the file that the command line names."""
    if len(argv) != 1:
        raise LikenessError("name one file to write, as docs/api.md")
    write_text(Path(argv[0]), to_markdown(make_app().openapi()))
