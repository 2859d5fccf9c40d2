"""The page of the API, made from its OpenAPI document: /docs, and docs/api.md.

`python -m likeness.studio.api_page docs/api.md` writes the page.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

KEY = "x-example"
PORT = 8321
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Likeness: API</title><link rel="stylesheet" href="/docs.css"></head>
<body><main>
{body}
</main></body>
</html>
"""
STYLE = """main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif }
pre { background: #f2f2f2; padding: 0.7rem; overflow-x: auto }
table { border-collapse: collapse }
th, td { border-bottom: 1px solid #ccc; padding: 0.3rem 0.7rem; text-align: left }
"""
INTRODUCTION = """# API

The studio ([start](studio.md)) answers these requests. `python -m likeness.studio.api_page docs/api.md`
wrote this page from the same OpenAPI document that the studio gives at `/openapi.json`, and a test runs
each example. They need the token that the studio prints:

```sh
TOKEN=...
```

An error is `{"error": {"message", "type", "param", "code"}}` with a status of 4xx or 5xx. What a model
cannot say or draw is a 400: `code` is the reason, and `value` and `limit` are beside it. A full queue is
a 429 with `Retry-After`.
"""


def example(
    path: str, body: Mapping[str, Any] | None = None, save: str = "", send: str = ""
) -> dict[str, Any]:
    """For `openapi_extra`: a request that the page shows and a test sends.

    Args:
        body: sent as JSON.
        save: name of a file for an answer that is not text.
        send: name of a file that is the body.
    """
    shown = {"path": path, "body": body, "save": save, "send": send}
    return {KEY: {name: value for name, value in shown.items() if value}}


def routes(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, template and description of each route of an OpenAPI document."""
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            yield method.upper(), path, route


def to_markdown(document: Mapping[str, Any]) -> str:
    parts = [INTRODUCTION]
    for method, path, route in routes(document):
        parts += [f"## {method} {path}", route["description"].strip()]
        rows = [*_parameters(route), *_keys(document, route)]
        if rows:
            parts.append("\n".join(["| key | type | |", "| --- | --- | --- |", *rows]))
        parts.append(f"```sh\n{_curl(method, route[KEY])}\n```")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def to_html(document: Mapping[str, Any]) -> str:
    import markdown

    body = markdown.markdown(to_markdown(document), extensions=["tables", "fenced_code"])
    return PAGE.format(body=body)


def _parameters(route: Mapping[str, Any]) -> Iterator[str]:
    for one in route.get("parameters", []):
        yield _row(one["name"], one["schema"], one["in"] == "path")


def _keys(document: Mapping[str, Any], route: Mapping[str, Any]) -> Iterator[str]:
    content = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema = document["components"]["schemas"].get(name, {})
    for key, value in schema.get("properties", {}).items():
        yield _row(key, value, key in schema.get("required", []))


def _row(name: str, schema: Mapping[str, Any], required: bool) -> str:
    default = schema.get("default")
    told = ["required"] if required else [f"default `{default}`"] if default is not None else []
    if description := schema.get("description"):
        told.append(description)
    return f"| `{name}` | {_type(schema)} | {'; '.join(told)} |"


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in words: `integer, 1 to 10`; a value that may be absent is not named."""
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    low = schema.get("minimum", schema.get("minLength"))
    high = schema.get("maximum", schema.get("maxLength"))
    found = str(schema.get("type", "any"))
    if high is not None:
        found += f", {low:g} to {high:g}" if low is not None else f", up to {high:g}"
    return f"{found} letters" if "maxLength" in schema else found


def _curl(method: str, shown: Mapping[str, Any]) -> str:
    plain = method == "POST" and not {"body", "send"} & shown.keys()
    words = ["curl", *(["-X", "POST"] if plain else []), "-H", '"Authorization: Bearer $TOKEN"']
    if "save" in shown:
        words += ["-o", shown["save"]]
    lines = [" ".join(words)]
    if "send" in shown:
        lines.append(f"--data-binary @{shown['send']}")
    if "body" in shown:
        lines.append('-H "Content-Type: application/json"')
        body = shlex.quote(json.dumps(shown["body"]))
        lines.append(f"-d {body}".replace("$TOKEN", """'"$TOKEN"'"""))
    lines.append(shlex.quote(f"http://127.0.0.1:{PORT}{shown['path']}"))
    return " \\\n  ".join(lines)


if __name__ == "__main__":
    from likeness.common.cli import run
    from likeness.studio.app import write_page

    run(write_page)
