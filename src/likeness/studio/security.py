"""Who may ask: the holder of the token, by a name of this host, and not from another site's page.

A page of any site can send requests to a port of this machine, and a name that its owner points at
127.0.0.1 makes it the same origin. So the port alone is no boundary: each request needs the token or
the cookie that was given for it, a `Host` that is listed, and no `Origin` but our own.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from secrets import compare_digest, token_urlsafe

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from likeness.studio.pages import is_open
from likeness.studio.problems import Problem

LOCAL = ("127.0.0.1", "localhost", "[::1]")
# They tell nothing of the data: probes and a browser without the cookie ask for them. /api/session
# takes the token from the body.
OPEN = ("/health/live", "/health/ready", "/docs", "/docs.css", "/openapi.json", "/api/session")
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; media-src 'self' blob:; "
    "style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Keys:
    """What opens the studio.

    Attributes:
        hosts: the values of `Host` that are answered.
        cookie: name of the cookie. It has the port, since cookies of all ports share their names.
    """

    hosts: frozenset[str]
    cookie: str
    token: str = field(default_factory=lambda: token_urlsafe(32), repr=False)

    @property
    def session(self) -> str:
        """The value of the cookie, which does not reveal the token, and is valid as long as the token."""
        return hmac.new(self.token.encode(), b"likeness studio: cookie", "sha256").hexdigest()

    def opened_by(self, token: str) -> bool:
        return compare_digest(self.token.encode(), token.encode())

    def admit(self, headers: Headers) -> bool:
        """Whether a request has the cookie."""
        found = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        return compare_digest(self.session.encode(), found.encode())


def make_keys(host: str, port: int, others: Iterable[str] = (), token: str | None = None) -> Keys:
    """Keys of a server at `host`.

    Args:
        others: names that a proxy in front of it is asked by.
        token: a new one if absent.
    """
    bound = f"[{host}]" if ":" in host else host
    local = {f"{name}:{port}" for name in (*LOCAL, bound)}
    given = {"token": token} if token else {}
    hosts = frozenset({*local, *(name.lower() for name in others)})
    return Keys(hosts, f"likeness-{port}", **given)


class Guard:
    """Answers a request only if `Host`, `Origin` and token are right; adds headers to each answer."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._problem(scope)
        if problem and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": str(problem)})
            return
        answer = problem.response() if problem else self._app
        await answer(scope, receive, send_with_headers)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            return Problem(400, "bad_host", "send one Host, and at most one Origin")
        if hosts[0].lower() not in self._keys.hosts:
            return Problem(
                421, "foreign_host", "this name is not served here; list it by --allow-host"
            )
        if origins and origins[0].lower().partition("://")[2] not in self._keys.hosts:
            return Problem(403, "foreign_origin", "a page of another site may not ask the studio")
        if scope["path"] in OPEN or is_open(scope["path"]):
            return None
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._keys.opened_by(token.strip()):
            return None
        if not self._keys.admit(headers):
            return Problem(
                401,
                "invalid_api_key",
                "send the token that the studio printed when it started, as `Authorization: Bearer`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        # A browser sends the cookie by itself, and an Origin with each change that a page makes.
        if scope.get("method") not in SAFE and not origins:
            return Problem(403, "no_origin", "a change by the cookie needs the studio's own Origin")
        return None
