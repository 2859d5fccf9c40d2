"""/api/params: what a run can be given, with the ranges of the schema and the comments of params.yaml."""

import ipaddress
import json
import re
import socket
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from fastapi import APIRouter, Request
from pydantic import ValidationError

from likeness.repository.experiments import read_file
from likeness.stage import SCHEMA
from likeness.studio.api_page import example
from likeness.studio.problems import Problem
from likeness.studio.state import state_of

router = APIRouter(prefix="/api")

Single = bool | int | float | str | None
Value = Single | list[Single]

COMMENT = re.compile(r" {2}(\w+):.*?\s# ?(.*)")
FOLDER = re.compile(r"\w[\w.-]*")  # below models/ or data/raw/, and nowhere else
URLS = "voice_download.urls"
# IPv6 addresses that stand for one of IPv4, which may be private: NAT64 and 6to4.
TUNNELS = [ipaddress.ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")]
# A file of this machine that would be sent to a site, and values that are no plain ones.
HIDDEN = {"voice_download.cookies", "image_generate.shares", "image_generate.blend"}


@router.get("/params", openapi_extra=example("/api/params"))
def list_params(request: Request) -> dict[str, Any]:
    """All params: their values in the workspace and in the commit that a run starts from, what each is,
    its type, its range or its choices.
    """
    root = state_of(request).root
    text = (root / "params.yaml").read_bytes()
    return {"params": _params(text, read_file(root, "HEAD", "params.yaml") or text)}


@lru_cache(maxsize=1)
def _params(text: bytes, committed: bytes) -> list[dict[str, Any]]:
    return list(_each_param(text.decode(), yaml.safe_load(committed)))


def _each_param(text: str, committed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    values, comments = yaml.safe_load(text), _comments(text)
    for section, cls in SCHEMA.items():
        document = cls.model_json_schema()
        for name, schema in document["properties"].items():
            key = f"{section}.{name}"
            if key not in HIDDEN:
                yield {
                    "key": key,
                    "value": values[section][name],
                    "committed": committed.get(section, {}).get(name),
                    "comment": comments.get(key, ""),
                    **_form(schema, document.get("$defs", {})),
                }


def _comments(text: str) -> dict[str, str]:
    """The comment that stands behind each key, by dotted key."""
    found, section = {}, ""
    for line in text.splitlines():
        if line[:1].isalpha():
            section = line.partition(":")[0]
        elif match := COMMENT.match(line):
            found[f"{section}.{match[1]}"] = match[2]
    return found


def _form(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Type and range of a value; `minimum` and `maximum` are None where there is no bound."""
    options = [
        definitions.get(one.get("$ref", "").rpartition("/")[2], one)
        for one in schema.get("anyOf", [schema])
    ]
    main = next(one for one in options if one.get("type") != "null")
    return {
        "type": "choice" if "enum" in main else main["type"],
        "nullable": len(options) > 1 and any(one.get("type") == "null" for one in options),
        "choices": main.get("enum"),
        "minimum": main.get("minimum", main.get("exclusiveMinimum")),
        "maximum": main.get("maximum", main.get("exclusiveMaximum")),
    }


def overrides(root: Path, params: Mapping[str, Value]) -> list[str]:
    """The arguments of -S for params that a page sends, by dotted key.

    Raises:
        Problem: a key that is not there, or a value that the schema, a shell or Hydra does not take.
    """
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for key, value in params.items():
        section, _, name = key.partition(".")
        if section not in SCHEMA or name not in SCHEMA[section].model_fields or key in HIDDEN:
            raise _wrong(key, "no such param; GET /api/params lists them")
        values[section][name] = value
        _check_text(key, value)
    for section in {key.partition(".")[0] for key in params}:
        try:
            SCHEMA[section].model_validate(values[section])
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join([section, *(str(part) for part in first["loc"][:1])])
            raise _wrong(key, f"{first['msg']} (got {first['input']!r})") from None
    # JSON is what Hydra's grammar reads too, but for the escapes that were refused above.
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in params.items()]


def _check_text(key: str, value: Value) -> None:
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, str):
            continue
        if "\\" in one or "${" in one or not one.isprintable():
            raise _wrong(key, "a text without \\, ${ and line breaks is needed")
        if key.startswith("inputs.") and not FOLDER.fullmatch(one):
            raise _wrong(
                key, f"{one!r} is no name of a folder; letters, digits, . _ and - make one"
            )
        if key == URLS:
            check_url(one)


def check_url(url: str) -> None:
    """Raises `Problem` unless it is http or https and all addresses of its host are public ones.

    A name may point elsewhere when it is downloaded, so a studio on a network of secrets needs a
    firewall besides.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong(URLS, f"{url}: only http and https are downloaded")
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _wrong(URLS, f"{url}: its host is not known") from None
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        tunnelled = any(ip in each for each in TUNNELS if each.version == ip.version)
        if not ip.is_global or ip.is_multicast or tunnelled:
            raise _wrong(URLS, f"{url}: its host has a private address, {ip}")


def _wrong(key: str, message: str) -> Problem:
    return Problem(400, "wrong_param", f"{key}: {message}", param=key)
