"""Events of crashes for Sentry, or a server that takes the same, where SENTRY_DSN names one.

Without it nothing is imported and no connection is opened. An event has where the code failed, the kind
of the error, and the ids that lead to the lines of the log. What the error says is left to the log, as it
may quote a request, and so are variables and paths.
"""

import atexit
import os
from typing import Any

from likeness.common.errors import LikenessError
from likeness.common.logs import fields

FLUSH_SECONDS = 3.0  # for what is not sent yet when the process ends
KEPT = ("event_id", "timestamp", "platform", "level", "release")  # of an event
FRAME = ("module", "function", "lineno", "in_app")  # of a line of a traceback


def watch_crashes() -> None:
    """Report what `crash` is given from now on. Raises `LikenessError` for a DSN that is none."""
    if not (dsn := os.environ.get("SENTRY_DSN")):
        return
    import sentry_sdk
    from sentry_sdk.utils import BadDsn

    try:
        sentry_sdk.init(
            dsn,
            default_integrations=False,  # they read requests, arguments and logs
            auto_enabling_integrations=False,
            before_send=scrub,
            send_default_pii=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            auto_session_tracking=False,
            send_client_reports=False,
        )
    except BadDsn as error:
        raise LikenessError(f"SENTRY_DSN: {error}; copy it from the project's settings") from error
    atexit.register(sentry_sdk.flush, FLUSH_SECONDS)


def crash(error: BaseException) -> None:
    """Report an error which is no user's mistake, if crashes are watched."""
    if not os.environ.get("SENTRY_DSN") or isinstance(error, LikenessError):
        return
    import sentry_sdk

    sentry_sdk.capture_exception(error)


def scrub(event: Any, _: Any = None) -> Any:
    """The part of an event that is sent."""
    values = [
        {
            "type": each.get("type"),
            "module": each.get("module"),
            "stacktrace": {"frames": [_frame(one) for one in each["stacktrace"]["frames"]]},
        }
        for each in event["exception"]["values"]
        if each.get("stacktrace")
    ]
    kept = {name: event[name] for name in KEPT if name in event}
    return {**kept, "exception": {"values": values}, "tags": fields()}


def _frame(frame: Any) -> dict[str, Any]:
    kept = {name: frame.get(name) for name in FRAME}
    return {**kept, "filename": str(frame.get("filename", "")).rpartition("/")[2]}
