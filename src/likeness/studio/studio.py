"""Start the studio: an HTTP service on this machine that speaks, draws, and shows what was made.

It prints its address with a token, which each request needs (docs/studio.md). Ctrl+C ends it.
"""

import argparse
import socket
from pathlib import Path

from likeness.common.errors import LikenessError

FEWEST = 16  # that must fit into the queue: what is sent to a model together


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


def main(args: argparse.Namespace, root: Path) -> int:
    """Serve until a signal ends it. Raises `LikenessError`."""
    try:
        from likeness.studio.app import Server, make_state
        from likeness.studio.observe import log_as_json
        from likeness.studio.security import make_keys
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("likeness"):
            raise
        raise LikenessError(
            f"the studio needs {error.name}, which is not installed; run make studio"
        ) from error
    if args.queue < FEWEST:
        raise LikenessError(f"--queue {args.queue}: must be {FEWEST} at least")
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    try:
        listening = socket.create_server((args.host, args.port), family=family)
    except (OSError, OverflowError) as error:
        raise LikenessError(
            f"--host {args.host} --port {args.port}: cannot listen there ({error}); choose another"
        ) from error
    port = listening.getsockname()[1]
    state = make_state(root, make_keys(args.host, port, args.allow_host), args.queue)
    log_as_json()
    shown = f"[{args.host}]" if family == socket.AF_INET6 else args.host
    token = state.keys.token
    # A browser keeps what stands behind # to itself, so the token is in no log of a server.
    print(f"Likeness studio: http://{shown}:{port}/#token={token}\ntoken: {token}", flush=True)
    Server(state).run(sockets=[listening])
    return 0
