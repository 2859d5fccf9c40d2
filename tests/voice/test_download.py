"""Recordings are fetched from a server that drops, limits and refuses; never from the network."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import digest
from likeness.common.manifest import Rejection, read_manifest
from likeness.common.runtime import Runtime
from likeness.voice import download as module
from likeness.voice.audio import encode
from likeness.voice.download import Failure, VoiceDownload, download, seconds_to_wait
from likeness.voice.rows import Download
from tests.conftest import ROOT, binary, files_of, library_env, section
from tests.voice.sounds import tone

AUDIO = encode(tone(2.0, 16000), 16000, "WAV")


class Site(ThreadingHTTPServer):
    """Counts what is asked of it.

    `/whole*` gives the audio; `/drop*` closes the connection in the middle, three times; `/limit*`
    says 429 with Retry-After twice; `/always*` says 429 each time; `/busy*` says 503 twice; `/feed`
    lists two files; `/stream*` never ends, and `/mute*` neither, nor does it say a thing; `/live.m3u8`
    has no end yet; `/locked.m3u8` asks for FFmpeg, and so does `/long.m3u8`, which is mute;
    `/private*` says 403 without a cookie; all else is 404.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.times: list[float] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Answer(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.asked[name] += 1
        self.server.times.append(time.monotonic())
        times = self.server.asked[name]
        if name == "feed":
            items = "".join(
                f"<item><title>{one}</title><enclosure url='{self.server.url(one)}' type='audio/wav'/>"
                f"<link>{self.server.url(one)}</link></item>"
                for one in ("whole1.wav", "whole2.wav")
            )
            channel = f"<channel><title>t</title>{items}</channel>"
            text = f"<?xml version='1.0'?><rss version='2.0'>{channel}</rss>"
            self._send(200, text.encode(), {"Content-Type": "application/rss+xml"})
        elif name.startswith("mute"):
            self.send_response(200)
            self.end_headers()
            time.sleep(30)
        elif name.startswith("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "audio/x-wav")
            self.end_headers()
            with suppress(OSError):
                while self.command == "GET":
                    self.wfile.write(AUDIO[:4000])
                    time.sleep(0.01)
        elif name.endswith(".m3u8"):
            key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"\n#EXT-X-ENDLIST\n'
            head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + key * (name != "live.m3u8")
            part = "mute.ts" if name == "long.m3u8" else "whole.wav"
            text = f"{head}#EXTINF:2,\n{part}\n"
            self._send(200, text.encode(), {"Content-Type": "application/vnd.apple.mpegurl"})
        elif name == "key":
            self._send(200, bytes(16), {})
        elif name.startswith("private") and "session=ours" not in self.headers.get("Cookie", ""):
            self._send(403, b"", {})
        elif name.startswith("always") or (name.startswith("limit") and times <= 2):
            self._send(429, b"", {"Retry-After": "1"})
        elif name.startswith("busy") and times <= 2:
            self._send(503, b"", {})
        elif name.startswith(("whole", "drop", "limit", "busy", "private")):
            self._media(name)
        else:
            self._send(404, b"", {})

    def _media(self, name: str) -> None:
        first = 0
        if "Range" in self.headers:
            first = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
        part = AUDIO[first:]
        headers = {"Content-Type": "audio/x-wav", "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(AUDIO) - 1}/{len(AUDIO)}"
        # Of the length that it declares, the third part: the client sees the connection close.
        cut = name.startswith("drop") and self.server.asked[name] <= 6
        self._send(206 if first else 200, part, headers, sent=len(part) // 3 if cut else len(part))

    def _send(self, status: int, body: bytes, headers: dict[str, str], sent: int = -1) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            data = body if sent < 0 else body[:sent]
            self.wfile.write(data)
            self.server.sent[self.path.strip("/")] += len(data)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Site()
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def params(*urls: str, **changes: Any) -> VoiceDownload:
    quick = {"backoff_seconds": 0.01, "rate_limit_seconds": 0.01, "pause_seconds": 0.0}
    return section(
        VoiceDownload, **{"urls": list(urls), "max_rejected_share": 1.0, **quick, **changes}
    )


def run(cfg: VoiceDownload, out: Path, rt: Runtime) -> dict[str, float]:
    return download(cfg, out_dir=out / "data", plots_dir=out / "plots", rt=rt)


def rejections(out: Path) -> list[Rejection]:
    return read_manifest(out / "data" / "rejected.jsonl", Rejection)


@pytest.mark.plots
def test_without_urls_the_manifest_is_empty(tmp_path: Path, rt: Runtime) -> None:
    metrics = run(section(VoiceDownload), tmp_path, rt)
    assert set(metrics.values()) == {0}
    files = files_of(tmp_path)
    assert sorted(files) == ["data/manifest.jsonl", "data/rejected.jsonl", "plots/lengths.png"]
    assert files["data/manifest.jsonl"] == files["data/rejected.jsonl"] == b""


@pytest.mark.slow
def test_a_file_comes_with_its_description_and_hash(
    site: Site, tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(params(site.url("whole.wav")), tmp_path, rt)
    assert metrics["files"] == 1
    (row,) = read_manifest(tmp_path / "data" / "manifest.jsonl", Download)
    media = tmp_path / "data" / row.file_name
    assert media.read_bytes() == AUDIO
    assert row.sha256 == digest(media)
    assert row.url == site.url("whole.wav")
    info = json.loads((tmp_path / "data" / row.info).read_text())
    assert info["id"] == "whole"
    assert info["_version"]["version"] == row.version
    assert info["format_id"] == row.format
    assert str(tmp_path) not in (tmp_path / "data" / row.info).read_text()


def test_what_is_there_is_not_fetched_again(site: Site, tmp_path: Path, rt: Runtime) -> None:
    run(params(site.url("whole1.wav")), tmp_path / "a", rt)
    before = site.asked["whole1.wav"]
    run(params(site.url("whole1.wav"), site.url("whole2.wav")), tmp_path / "b", rt)
    assert site.asked["whole1.wav"] == before
    assert site.asked["whole2.wav"] > 0
    names = {row.title for row in read_manifest(tmp_path / "b/data/manifest.jsonl", Download)}
    assert names == {"whole1", "whole2"}


def test_a_url_given_twice_counts_once(site: Site, tmp_path: Path, rt: Runtime) -> None:
    assert run(params(*[site.url("whole.wav")] * 2), tmp_path, rt)["files"] == 1


def test_two_addresses_that_end_alike_are_two_files(
    site: Site, tmp_path: Path, rt: Runtime
) -> None:
    cfg = params(site.url("whole/talk.wav"), site.url("whole2/talk.wav"))
    assert run(cfg, tmp_path, rt)["files"] == 2


def test_a_dropped_connection_is_gone_on_with(site: Site, tmp_path: Path, rt: Runtime) -> None:
    assert run(params(site.url("drop.wav")), tmp_path, rt)["files"] == 1
    (row,) = read_manifest(tmp_path / "data" / "manifest.jsonl", Download)
    assert (tmp_path / "data" / row.file_name).read_bytes() == AUDIO
    assert site.asked["drop.wav"] > 6


def test_a_rate_limit_is_waited_for(site: Site, tmp_path: Path, rt: Runtime) -> None:
    assert run(params(site.url("limit.wav")), tmp_path, rt)["files"] == 1
    waits = [after - before for before, after in zip(site.times, site.times[1:])]
    assert sum(wait >= 1.0 for wait in waits) == 2


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path, rt: Runtime) -> None:
    assert run(params(site.url("busy.wav")), tmp_path, rt)["files"] == 1


def test_retries_have_an_end(site: Site, tmp_path: Path, rt: Runtime) -> None:
    cfg = params(site.url("always.wav"), site.url("whole.wav"), retries=2, max_wait_seconds=0.01)
    metrics = run(cfg, tmp_path, rt)
    assert (metrics["files"], metrics["rejected_rate_limited"]) == (1, 1)
    assert site.asked["always.wav"] == 3
    (rejected,) = rejections(tmp_path)
    assert rejected.id == site.url("always.wav")
    assert "429" in rejected.value


def test_what_is_not_there_is_asked_for_once(site: Site, tmp_path: Path, rt: Runtime) -> None:
    metrics = run(params(site.url("gone.wav"), site.url("whole.wav")), tmp_path, rt)
    assert (metrics["files"], metrics["rejected_unavailable"]) == (1, 1)
    assert site.asked["gone.wav"] == 1
    assert "\n" not in rejections(tmp_path)[0].value


def test_no_server_is_a_connection_that_failed(site: Site, tmp_path: Path, rt: Runtime) -> None:
    url = site.url("whole.wav")
    site.shutdown()
    site.server_close()
    metrics = run(params(url, retries=1), tmp_path, rt)
    assert metrics["rejected_connection"] == 1


def test_a_playlist_counts_as_its_entries(site: Site, tmp_path: Path, rt: Runtime) -> None:
    assert run(params(site.url("feed")), tmp_path, rt)["files"] == 2


@pytest.mark.parametrize(
    ("name", "reason", "says"),
    [
        ("live.m3u8", "live", "a live stream"),
        ("stream.wav", "live", "no end after 0 s"),
        ("locked.m3u8", "unavailable", "ffmpeg could not be found"),
    ],
)
def test_what_cannot_end_well_is_asked_for_once(
    site: Site,
    tmp_path: Path,
    rt: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reason: str,
    says: str,
) -> None:
    monkeypatch.setattr(module, "ENDLESS", 0.3)
    monkeypatch.setenv("PATH", "")
    started = time.monotonic()
    metrics = run(params(site.url(name)), tmp_path, rt)
    assert metrics[f"rejected_{reason}"] == 1
    assert says in rejections(tmp_path)[0].value
    assert time.monotonic() - started < 20
    assert not list((rt.cache / "scratch").rglob("*.part"))


FETCH = """
import sys
from pathlib import Path
from likeness.common.cli import run
from tests.voice.test_download import Runtime, params, run as fetch

run(lambda _: fetch(params(sys.argv[1]), Path(sys.argv[2]), Runtime(7, "cpu", 1, Path(sys.argv[2]))))
"""


@pytest.mark.slow
def test_ffmpeg_ends_with_the_stage(site: Site, tmp_path: Path) -> None:
    binary("ffmpeg", "ffmpeg")
    command = [sys.executable, "-c", FETCH, site.url("long.m3u8"), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=library_env(), stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not site.asked["mute.ts"] and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        assert any("ffmpeg" in child.name() for child in children)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_cookies_are_sent_and_their_file_is_left_alone(
    site: Site, tmp_path: Path, rt: Runtime
) -> None:
    line = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tours\n"
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(text := f"# Netscape HTTP Cookie File\n{line}")
    assert run(params(site.url("private.wav")), tmp_path / "a", rt)["rejected_unavailable"] == 1
    assert (
        run(params(site.url("private.wav"), cookies=str(cookies)), tmp_path / "b", rt)["files"] == 1
    )
    assert cookies.read_text() == text
    with pytest.raises(LikenessError, match=r"voice_download\.cookies: .*gone.txt: cannot be read"):
        run(params(cookies=str(tmp_path / "gone.txt")), tmp_path / "c", rt)


def test_a_site_that_asks_to_sign_in_is_not_asked_again() -> None:
    from yt_dlp.utils import DownloadError

    failure = module.understand(
        DownloadError("ERROR: [youtube] x: Sign in to confirm you're not a bot. Use --cookies")
    )
    assert failure.reason == "sign_in"
    assert "voice_download.cookies" in failure.message


def test_too_many_failures_are_one_line(site: Site, tmp_path: Path, rt: Runtime) -> None:
    with pytest.raises(LikenessError, match=r"1 of 1 items rejected,.*unavailable 1") as caught:
        run(params(site.url("gone.wav"), max_rejected_share=0.5), tmp_path, rt)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data" / "manifest.jsonl").exists()


@pytest.mark.parametrize(
    ("failure", "attempt", "wait"),
    [
        (Failure("connection", "", None), 0, 2.0),
        (Failure("connection", "", None), 3, 16.0),
        (Failure("rate_limited", "", None), 1, 240.0),
        (Failure("rate_limited", "", 7.0), 5, 7.0),
        (Failure("rate_limited", "", 1e6), 0, 3600.0),
        (Failure("connection", "", None), 40, 3600.0),
    ],
)
def test_waits_double_or_follow_the_site(failure: Failure, attempt: int, wait: float) -> None:
    cfg = section(
        VoiceDownload, backoff_seconds=2.0, rate_limit_seconds=120.0, max_wait_seconds=3600.0
    )
    assert seconds_to_wait(failure, attempt, cfg) == wait


def test_retry_after_is_seconds_or_a_date() -> None:
    assert module._retry_after("120") == 120.0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert module._retry_after(soon) == pytest.approx(60, abs=3)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=60), usegmt=True)
    assert module._retry_after(past) == 0.0
    assert module._retry_after("soon") is None
    assert module._retry_after(None) is None


def test_a_site_s_own_words_for_a_rate_limit_are_recognised() -> None:
    from yt_dlp.utils import DownloadError, ExtractorError

    words = (
        "Video unavailable. This content isn't available, try again later. The current session has "
        "been rate-limited by YouTube for up to an hour."
    )
    inner = ExtractorError(words, expected=True)
    outer = DownloadError(f"\x1b[0;31mERROR:\x1b[0m {words}", (ExtractorError, inner, None))
    assert module.understand(outer).reason == "rate_limited"
    private = ExtractorError("Private video", expected=True)
    failure = module.understand(
        DownloadError("ERROR: Private video", (ExtractorError, private, None))
    )
    assert failure == Failure("unavailable", "Private video", None)
