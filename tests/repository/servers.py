"""Servers that hold a DVC remote, each started for a test and reached through a wire that can be cut."""

import os
import pwd
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import absent, binary

NGINX_DAV = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")
START_SECONDS = 30
# Without it a pull that is cut may leave a truncated file in the cache, which DVC then takes for whole.
VERIFY = {"verify": "true"}


class Wire:
    """A TCP port in front of a server's. `cut_after` breaks every connection in mid-transfer."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._left: dict[str, float] = {}  # bytes that may still pass, by direction
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, *, up: float = float("inf"), down: float = float("inf")) -> None:
        """Cut once `up` bytes have gone to the server or `down` bytes have come from it."""
        self._left = {"up": up, "down": down}

    def mend(self) -> None:
        self._left = {}
        self.is_cut = False

    def close(self) -> None:
        self._listener.close()
        self._hang_up()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._server_port))
            for end in (client, server):  # small answers must not wait for larger ones
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            for source, sink, way in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._pump, args=(source, sink, way), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with suppress(OSError):
            while data := source.recv(16384):
                if not self._may_pass(way, len(data)):
                    self._hang_up()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _may_pass(self, way: str, size: int) -> bool:
        with self._lock:
            if way in self._left:
                self._left[way] -= size
                self.is_cut = self.is_cut or self._left[way] < 0
            return not self.is_cut

    def _hang_up(self) -> None:
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
            self._open.clear()


@dataclass(frozen=True)
class Remote:
    """What a user writes down to reach a DVC remote, and the wire to its server."""

    url: str
    options: dict[str, str] = field(default_factory=dict)  # in .dvc/config, for everybody
    secrets: dict[str, str] = field(default_factory=dict)  # in this user's own configuration
    wire: Wire | None = None  # None for a path, which has no connection


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[Wire]:
    """A server until the block ends; yields the wire once its port answers."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        _wait_for(port, process, log)
        wire = Wire(port)
        yield wire
        wire.close()
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not answer on port {port}: {log.read_text()}")


@contextmanager
def path_remote(folder: Path, home: Path) -> Iterator[Remote]:
    yield Remote(str(folder / "store"))


@contextmanager
def ssh_remote(folder: Path, home: Path) -> Iterator[Remote]:
    """OpenSSH as this user, with keys made here; `home/.ssh/config` names the host `storage`."""
    sshd = binary("sshd", "openssh-server")
    keygen = binary("ssh-keygen", "openssh-client")
    for key in ("host_key", "user_key"):
        command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    if os.getuid() == 0:  # sshd of root wants its empty folder, which its service would make
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\n"
        "ListenAddress 127.0.0.1\n"
        f"HostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/user_key.pub\n"
        f"PidFile {folder}/sshd.pid\n"
        "StrictModes no\n"
        "UsePAM no\n"
        "PasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    command = [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]
    with running(command, port, folder / "sshd.log") as wire:
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh" / "config").write_text(
            "Host storage\n"
            "  HostName 127.0.0.1\n"
            f"  Port {wire.port}\n"
            f"  User {pwd.getpwuid(os.getuid()).pw_name}\n"
            f"  IdentityFile {folder}/user_key\n"
        )
        yield Remote(f"ssh://storage{folder}/store", VERIFY, wire=wire)


@contextmanager
def webdav_remote(folder: Path, home: Path) -> Iterator[Remote]:
    """nginx with its DAV modules and a password."""
    nginx = binary("nginx", "nginx")
    if not NGINX_DAV.exists():
        absent(f"{NGINX_DAV.name} is not here: apt-get install libnginx-mod-http-dav-ext")
    port = free_port()
    (folder / "files" / "store").mkdir(parents=True)
    (folder / "users").write_text("me:{PLAIN}secret\n")
    scratch = "\n".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(f"""
load_module {NGINX_DAV};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
{"user root;" if os.getuid() == 0 else ""}
events {{}}
http {{
  access_log off;
  {scratch}
  server {{
    listen 127.0.0.1:{port};
    root {folder}/files;
    client_max_body_size 0;
    location / {{
      auth_basic dvc;
      auth_basic_user_file {folder}/users;
      dav_methods PUT DELETE MKCOL COPY MOVE;
      dav_ext_methods PROPFIND OPTIONS;
      create_full_put_path on;
    }}
  }}
}}
""")
    command = [nginx, "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")]
    with running(command, port, folder / "nginx.out") as wire:
        yield Remote(
            f"webdav://127.0.0.1:{wire.port}/store",
            {**VERIFY, "user": "me"},
            {"password": "secret"},
            wire,
        )


@contextmanager
def s3_remote(folder: Path, home: Path) -> Iterator[Remote]:
    """moto's server, which speaks S3's protocol and keeps the objects in memory: not Amazon's S3."""
    if find_spec("moto") is None:
        absent("moto is not here: make the environment again")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, folder / "moto.log") as wire:
        (home / ".aws").mkdir()
        (home / ".aws" / "credentials").write_text(
            "[default]\naws_access_key_id = me\naws_secret_access_key = secret\n"
        )
        (home / ".aws" / "config").write_text("[default]\nregion = us-east-1\nmax_attempts = 1\n")
        bucket = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
        urllib.request.urlopen(bucket).close()
        endpoint = f"http://127.0.0.1:{wire.port}"
        yield Remote("s3://bucket/store", {**VERIFY, "endpointurl": endpoint}, wire=wire)
