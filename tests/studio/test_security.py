"""Every route of the OpenAPI document keeps strangers out."""

from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import HOST, ask

OPEN = {"/health/live", "/health/ready", "/api/session"}  # without a token
FOREIGN = (
    "http://evil.example",
    f"http://evil.example?{HOST}",
    "null",
    f"http://{HOST}.evil.example",
)


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Method and an address of each route."""
    from likeness.studio.api_page import KEY, routes
    from likeness.studio.app import make_app

    return [(method, route[KEY]["path"]) for method, _, route in routes(make_app().openapi())]


def code(answer: Any) -> str:
    assert set(answer.json()) == {"error"}
    return str(answer.json()["error"]["code"])


def test_the_list_has_every_route(routes: list[tuple[str, str]]) -> None:
    from likeness.studio import app

    own = [route for route in app.make_app().routes if hasattr(route, "path")]
    hidden = {"/docs", "/docs.css", "/openapi.json"}
    apart = [route for each in app.ROUTES for route in each.router.routes]
    assert hidden <= {route.path for route in own}
    assert len(routes) == len(own) - len(hidden) + len(apart) >= 25


def test_a_missing_or_wrong_token_is_refused(client: Any, routes: list[tuple[str, str]]) -> None:
    for method, path in routes:
        if path in OPEN:
            continue
        path = path.partition("?")[0]
        for headers in (
            {"Authorization": ""},
            {"Authorization": "Bearer x"},
            {"Authorization": "Bearer é".encode("latin-1")},
            {"Authorization": f"Basic {client.keys.token}"},
            {"Authorization": "", "Cookie": f"{client.keys.cookie}={client.keys.token}"},
        ):
            answer = client.request(method, path, headers=headers)
            assert (answer.status_code, code(answer)) == (401, "invalid_api_key"), path
        assert client.request(method, f"{path}?token={client.keys.token}", headers={
            "Authorization": ""}).status_code == 401  # fmt: skip


def test_a_foreign_host_is_refused(client: Any, routes: list[tuple[str, str]]) -> None:
    for method, path in [*routes, ("GET", "/docs"), ("GET", "/openapi.json")]:
        for host in ("evil.example", "127.0.0.1", "127.0.0.1:8322", "evil.example:8321", ""):
            answer = client.request(method, path, headers={"Host": host})
            assert (answer.status_code, code(answer)) == (421, "foreign_host"), path


def test_a_foreign_origin_is_refused(client: Any, routes: list[tuple[str, str]]) -> None:
    for method, path in [*routes, ("GET", "/docs"), ("GET", "/openapi.json")]:
        for origin in FOREIGN:
            answer = client.request(method, path, headers={"Origin": origin})
            assert (answer.status_code, code(answer)) == (403, "foreign_origin"), path


def test_our_own_origin_and_listed_hosts_are_answered(made: Path) -> None:
    client = ask(made)
    for host in (HOST, "localhost:8321", "[::1]:8321", "LOCALHOST:8321"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert client.get("/v1/models", headers=headers).status_code == 200


def test_a_name_of_a_proxy_must_be_listed() -> None:
    from likeness.studio.security import make_keys

    assert "studio.example" in make_keys("0.0.0.0", 80, ["Studio.example"]).hosts
    assert "[::]:80" in make_keys("::", 80).hosts
    assert repr(make_keys("::", 80)).count("token") == 0


def test_a_cookie_is_valid_as_long_as_its_token() -> None:
    from likeness.studio.security import make_keys

    one, again = (make_keys("127.0.0.1", 80, token="a" * 32) for _ in range(2))
    other, another = (make_keys("127.0.0.1", 80) for _ in range(2))
    assert one.session == again.session
    assert len({one.session, other.session, another.session}) == 3
    assert one.token not in one.session


def test_the_token_is_exchanged_for_a_cookie(client: Any) -> None:
    token = client.headers.pop("Authorization").removeprefix("Bearer ")
    assert code(client.post("/api/session", json={"token": "é"})) == "invalid_api_key"
    answer = client.post("/api/session", json={"token": token})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{client.keys.cookie}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert token not in cookie
    assert client.get("/v1/models").status_code == 200
    # A form of another site's page would send the cookie only in an old browser, and an Origin always.
    assert code(client.post("/v1/images/generations", json={})) == "no_origin"
    ours = {"Origin": f"http://{HOST}"}
    assert client.post("/v1/images/generations", json={}, headers=ours).status_code == 400


def test_a_socket_is_guarded_too(client: Any) -> None:
    from starlette.websockets import WebSocketDisconnect

    def refusal(**headers: str) -> str:
        given = {"Host": HOST, **headers}
        with pytest.raises(WebSocketDisconnect) as caught:  # noqa: SIM117
            with client.websocket_connect("/api/any", headers=given):
                pass
        return str(caught.value.reason)

    assert "send the token" in refusal(Authorization="")
    assert "not served here" in refusal(Host="evil.example")
    assert "another site" in refusal(Origin=FOREIGN[0])
    client.headers.pop("Authorization")
    assert "own Origin" in refusal(Cookie=f"{client.keys.cookie}={client.keys.session}")


def test_changes_are_posts(routes: list[tuple[str, str]], client: Any) -> None:
    assert {method for method, _ in routes} == {"GET", "POST"}
    answer = client.delete("/v1/models")
    assert code(answer) == "wrong_method"
    assert "takes no DELETE; /docs says" in answer.json()["error"]["message"]
    answer = client.get("/nowhere")
    assert code(answer) == "not_found"
    assert answer.json()["error"]["message"] == "there is no such address; /docs lists all"


def test_every_answer_has_the_headers_of_a_page_that_loads_nothing(client: Any) -> None:
    for path in ("/docs", "/v1/models", "/api/nothing", "/health/live"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_a_large_body_is_refused(client: Any) -> None:
    large = b'"%b"' % (b"a" * (1 << 21))
    for path in ("/v1/audio/speech", "/api/session", "/v1/models", "/nowhere"):
        # Announced by Content-Length, and in chunks.
        for body in (large, iter([large])):
            answer = client.post(path, content=body)
            if path in ("/v1/models", "/nowhere") and body is not large:
                continue  # nobody reads it
            assert (answer.status_code, code(answer)) == (413, "too_large"), path
            assert answer.json()["error"]["type"] == "invalid_request_error"


CLIP = "/api/clips/04_care-0026"
BODIES = (
    b"", b"null", b"[]", b"{", b"\xff", b"[" * 5000, b'{"x":' + b"9" * 5000 + b"}", b'{"\\ud800": 1}',
    b'{"token": "\\ud800"}', b'{"text": "\\ud800"}', b'{"verdict": "\\ud800"}',
    b'{"model": "sd_mini", "prompt": "\\ud800"}',
    b'{"model": "sd_mini", "prompt": "x", "guidance": NaN}',
    b'{"model": "sd_mini", "prompt": "x", "seeds": [99999999999999999999999]}',
    b'{"model": "xtts_mini", "input": "\\ud800", "voice": "voice"}',
)  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:40])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_a_body_that_is_no_request_is_a_400_of_one_line(
    client: Any, body: bytes, kind: str
) -> None:
    paths = ("/v1/audio/speech", "/v1/audio/voices", "/v1/images/generations", "/api/session", CLIP)
    for path in paths:
        answer = client.post(path, content=body, headers={"Content-Type": kind} if kind else {})
        assert answer.status_code == 400, path
        assert answer.json()["error"]["message"].count("\n") == 0
