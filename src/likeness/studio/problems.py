"""What goes wrong with a request, as OpenAI's clients read it."""

import json
from typing import Any

from starlette.responses import Response

KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Problem(Exception):
    """Raised by a route, and answered as `{"error": {"message", "type", "param", "code", ...}}`.

    Args:
        code: a word for programs; for what a model sets aside, the reason.
        message: one line: what was found, and what to do.
        param: the key of the request that is wrong.
        more: further keys of the error, such as `value` and `limit`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers
        kind = "server_error" if status >= 500 else KINDS.get(status, "invalid_request_error")
        self.error = {"message": message, "type": kind, "param": param, "code": code, **more}

    def response(self) -> Response:
        # In ASCII, as it may quote what UTF-8 cannot hold.
        text = json.dumps({"error": self.error})
        return Response(text, self.status, self.headers, media_type="application/json")
