"""Start the studio: an HTTP service on this machine that speaks, draws, and shows what was made.

It prints its address with a token, which each request needs (docs/studio.md). Ctrl+C ends it.
"""

import argparse
import re
import socket
from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.logs import log_as_json

FEWEST = 16  # that must fit into the queue: what is sent to a model together
SHORTEST = 32  # letters of a token
TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{SHORTEST},}}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8321, help="0 takes a free one (8321)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further value of the header Host that is answered, such as a proxy's name",
    )
    parser.add_argument(
        "--queue",
        type=int,
        default=64,
        help=f"sentences, and images, that may wait; {FEWEST} at least (64)",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=60,
        metavar="SECONDS",
        help="what would take longer to answer, by an estimate, is refused (60)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="a file with the token, which is else another at each start",
    )


def _read_token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise LikenessError(f"--token-file {file}: cannot be read ({error})") from error
    if not TOKEN.fullmatch(token):
        raise LikenessError(
            f"--token-file {file}: a token is {SHORTEST} letters, digits, - or _ at least; "
            "openssl rand -hex 32 makes one"
        )
    return token


def main(args: argparse.Namespace, root: Path) -> int:
    """Serve until a signal ends it. Raises `LikenessError`."""
    try:
        from likeness.studio.app import Server, make_state
        from likeness.studio.crashes import watch_crashes
        from likeness.studio.security import make_keys
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("likeness"):
            raise
        raise LikenessError(
            f"the studio needs {error.name}, which is not installed; run make studio"
        ) from error
    if args.queue < FEWEST:
        raise LikenessError(f"--queue {args.queue}: must be {FEWEST} at least")
    if not args.wait >= 1:
        raise LikenessError(f"--wait {args.wait:g}: must be 1 second at least")
    token = _read_token(args.token_file) if args.token_file else None
    watch_crashes()
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    try:
        listening = socket.create_server((args.host, args.port), family=family)
    except (OSError, OverflowError) as error:
        raise LikenessError(
            f"--host {args.host} --port {args.port}: cannot listen there ({error}); choose another"
        ) from error
    # asyncio sets this itself only for a socket whose protocol is named. Without it, the body of each
    # answer waits 40 ms for the browser to confirm its headers.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listening.getsockname()[1]
    keys = make_keys(args.host, port, args.allow_host, token)
    state = make_state(root, keys, args.queue, args.wait)
    log_as_json()
    shown = f"[{args.host}]" if family == socket.AF_INET6 else args.host
    # A browser keeps what stands behind # to itself, so the token is in no log of a server.
    opens = "" if token else f"/#token={keys.token}"
    told = f"that of {args.token_file}" if token else keys.token
    print(f"Likeness studio: http://{shown}:{port}{opens}\ntoken: {told}", flush=True)
    Server(state).run(sockets=[listening])
    return 0
