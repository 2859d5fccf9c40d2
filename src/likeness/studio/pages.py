"""The pages: one HTML file, and a script for each page, which shows what the API answers.

They hold no data, so that a browser gets them without the token; their scripts ask for it.
"""

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request, Response

from likeness.studio.problems import Problem

STATIC = Path(__file__).parent / "static"
MEDIA = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
FILES = {
    path.relative_to(STATIC).as_posix(): path
    for path in sorted(STATIC.rglob("*"))
    if path.suffix[1:] in MEDIA
}
# Each is the script pages/<name>.js; the first one is also what / shows.
PAGES = ("voice", "clips", "training", "images", "tests", "compare", "jobs")

router = APIRouter(include_in_schema=False)


def _answer(request: Request, name: str) -> Response:
    data = FILES[name].read_bytes()
    tag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    media = MEDIA[name.rpartition(".")[2]]
    return Response(data, headers=headers, media_type=f"{media}; charset=utf-8")


@router.get("/")
def show_first(request: Request) -> Response:
    return _answer(request, "index.html")


@router.get("/static/{name:path}")
def show_file(name: str, request: Request) -> Response:
    if name not in FILES:
        raise Problem(404, "not_found", "no such file of a page")
    return _answer(request, name)


for page in PAGES:
    router.get(f"/{page}")(show_first)


def is_open(path: str) -> bool:
    """Whether a path belongs to a page, and not to its data."""
    return path == "/" or path[1:] in PAGES or path.startswith("/static/")
