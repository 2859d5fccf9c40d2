"""Downloads recordings with yt-dlp, retries failed connections, and downloads no file twice."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import sha256
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field
from tqdm import tqdm

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import digest, link, read_json, write_json
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    write_manifest,
    write_rejected,
)
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.voice.listing import LONGEST
from likeness.voice.rows import Download

T = TypeVar("T")

REASONS = ("rate_limited", "connection", "sign_in", "live", "unavailable")
TRANSIENT = ("rate_limited", "connection")  # reasons that may pass, so that a retry is worthwhile
ENDLESS = 3600.0  # seconds of download after which a file of unknown length counts as a live stream
# Fields kept from yt-dlp's description: no addresses that expire, no counters that change.
DESCRIPTION = (
    "id",
    "extractor_key",
    "webpage_url",
    "title",
    "channel",
    "uploader",
    "upload_date",
    "license",
    "language",
    "duration",
    "format_id",
    "format",
    "ext",
    "acodec",
    "asr",
    "abr",
    "audio_channels",
    "_version",
)
RATE_LIMIT = re.compile(r"rate.?limit|too many requests|HTTP Error 429", re.IGNORECASE)
SIGN_IN = re.compile(r"sign in|log ?in|--cookies", re.IGNORECASE)
PROGRAMS = re.compile(r"\bff(mpeg|probe)\b", re.IGNORECASE)  # missing: no retry helps
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class VoiceDownload(Section):
    urls: list[str]
    format: str
    retries: Annotated[int, Field(ge=0, le=50)]
    backoff_seconds: Annotated[float, Field(ge=0)]
    rate_limit_seconds: Annotated[float, Field(ge=0)]
    max_wait_seconds: Annotated[float, Field(ge=0)]
    cookies: str
    pause_seconds: Annotated[float, Field(ge=0)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def download(
    cfg: VoiceDownload, *, out_dir: Path, plots_dir: Path, rt: Runtime
) -> dict[str, float]:
    """Download the best audio of every URL; playlists and channels are replaced by their entries.

    Files are also kept outside the outputs, so that a run downloads only what is new and an
    interrupted download is resumed. Writes to `out_dir`: `media/`, `info/` (yt-dlp's description of
    each file), `manifest.jsonl` (one `Download` per row) and `rejected.jsonl`.

    Raises:
        LikenessError: more than `max_rejected_share` of the URLs were rejected.
    """
    cookies = read_cookies(cfg.cookies)
    shelf = Shelf(rt.scratch("voice_download", sha256(cfg.format.encode()).hexdigest()[:12]))
    waiting = list(dict.fromkeys(cfg.urls))
    seen = set(waiting)
    rows: dict[str, Download] = {}
    rejected: list[Rejection] = []
    with tqdm(total=len(waiting), desc="voice_download", dynamic_ncols=True) as bar:
        while waiting:
            url = waiting.pop(0)
            row = shelf.find(url)
            if row is None:
                try:
                    found = patiently(partial(fetch, url, cfg.format, cookies, shelf, bar), cfg, rt)
                except Failure as failure:
                    rejected.append(Rejection(id=url, reason=failure.reason, value=failure.message))
                    bar.update()
                    continue
                if isinstance(found, list):
                    new = [entry for entry in dict.fromkeys(found) if entry not in seen]
                    waiting, seen = new + waiting, seen.union(new)
                    bar.total += len(new)
                    bar.update()
                    continue
                row = found
                time.sleep(cfg.pause_seconds)
            rows[row.id] = row
            bar.update()
    total = len(rows) + len(rejected)
    check_rejected_share("voice_download.urls", rejected, total, cfg.max_rejected_share)
    for row in rows.values():
        for name in (row.file_name, row.info):
            link(shelf.folder / name, out_dir / name)
    with figures.figure(plots_dir / "lengths.png", size=(8, 0.3 * len(rows) + 1.5)) as axis:
        figures.bars(axis, {row.title: row.seconds or 0 for row in rows.values()}, "Seconds")
    counts = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "manifest.jsonl", rows.values())
    return {
        "files": len(rows),
        "seconds": round(sum(row.seconds or 0 for row in rows.values()), 2),
        **counts,
    }


class Shelf:
    """The files downloaded so far: media, descriptions, and a row for each, which is written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = [Download.model_validate(read_json(path)) for path in folder.glob("rows/*.json")]
        self._by_id = {row.id: row for row in rows}

    def find(self, name: str) -> Download | None:
        """The row with this id or URL."""
        by_url = (row for row in self._by_id.values() if row.url == name)
        return self._by_id.get(name) or next(by_url, None)

    def add(self, row: Download) -> None:
        write_json(self.folder / "rows" / f"{row.id}.json", row.model_dump())
        self._by_id[row.id] = row


def read_cookies(path: str) -> str:
    """The text of a cookie file, or "" without a path; yt-dlp itself would overwrite the file."""
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise LikenessError(
            f"params.yaml: voice_download.cookies: {path}: cannot be read ({error}); it must be a "
            "cookies.txt exported by a browser add-on"
        ) from error


def fetch(url: str, form: str, cookies: str, shelf: Shelf, bar: Any) -> Download | list[str]:
    """The row of the file at `url`, downloaded if the shelf lacks it; or the URLs of a playlist.

    Raises:
        Failure: it is a live stream.
    """
    from yt_dlp import YoutubeDL

    def show(state: dict[str, Any]) -> None:
        bar.set_postfix_str(f"{state.get('downloaded_bytes', 0) / 1e6:.1f} MB")
        length = state.get("total_bytes") or state.get("total_bytes_estimate")
        if state["status"] == "downloading" and not length and state.get("elapsed", 0) > ENDLESS:
            Path(state["tmpfilename"]).unlink(missing_ok=True)
            raise Failure("live", f"no end after {ENDLESS:.0f} s and no length declared", None)

    options: dict[str, Any] = {
        "format": form,
        "quiet": True,
        "noprogress": True,
        "logger": _Quiet(),
        "progress_hooks": [show],
        "extract_flat": "in_playlist",
        "noplaylist": True,  # a URL that names a video and its playlist means the video
        # Only `patiently` retries: it waits for rate limits, and yt-dlp resumes its .part file.
        "retries": 0,
        "fragment_retries": 0,
        "extractor_retries": 0,
        "skip_unavailable_fragments": False,
        "fixup": "never",  # would need FFmpeg's programs; voice_segment decodes files as they are
        "updatetime": False,
        "js_runtimes": {"deno": {}, "node": {}},
    }

    def begin(**more: Any) -> YoutubeDL:  # yt-dlp writes to its cookie file
        return YoutubeDL({**options, **more, "cookiefile": StringIO(cookies) if cookies else None})

    with begin() as client:
        found = client.extract_info(url, download=False)
    if "entries" in found:
        return [entry.get("url") or entry["webpage_url"] for entry in found["entries"]]
    if found.get("live_status") in ("is_live", "is_upcoming", "post_live"):
        raise Failure("live", "a live stream; try again when it is over", None)
    address = found.get("webpage_url") or url
    # The hash makes the name unique: the id of a plain file is only the end of its URL.
    name = re.sub(r"[^\w-]+", "_", f"{found['extractor_key']}-{found['id']}")
    name = name.encode()[:LONGEST].decode(errors="ignore")
    name += f"-{sha256(address.encode()).hexdigest()[:6]}"
    known = shelf.find(name)
    if known is not None:
        return known
    with begin(outtmpl=f"{shelf.folder}/media/{name}.%(ext)s") as client:
        done = client.process_ie_result(found, download=True)
        info = client.sanitize_info(done, remove_private_keys=True)
    media = Path(done["requested_downloads"][0]["filepath"])
    write_json(
        shelf.folder / "info" / f"{name}.json",
        {key: info[key] for key in DESCRIPTION if info.get(key) is not None},
    )
    row = Download(
        id=name,
        file_name=f"media/{media.name}",
        info=f"info/{name}.json",
        url=url,
        title=str(info.get("title") or info["id"]),
        format=str(info["format_id"]),
        version=str(info["_version"]["version"]),
        sha256=digest(media),
        seconds=info.get("duration"),
    )
    shelf.add(row)
    return row


class _Quiet:
    """Discards yt-dlp's messages; its errors are also raised as exceptions."""

    def debug(self, message: str) -> None:
        pass

    warning = error = debug


@dataclass
class Failure(Exception):
    """Why a URL could not be fetched.

    Attributes:
        reason: one of `REASONS`; those in `TRANSIENT` are worth a retry.
        wait: seconds that the site asks to wait, or None.
    """

    reason: str
    message: str
    wait: float | None


def patiently(act: Callable[[], T], cfg: VoiceDownload, rt: Runtime) -> T:
    """The result of `act()`, which is retried after a wait if it fails for a transient reason.

    Raises:
        Failure: the reason is not transient, or `retries` retries failed too.
    """
    from yt_dlp.utils import YoutubeDLError

    for attempt in count():
        try:
            return act()
        except YoutubeDLError as error:
            failure = understand(error)
            if failure.reason not in TRANSIENT or attempt == cfg.retries:
                raise failure from error
            wait = seconds_to_wait(failure, attempt, cfg)
            rt.log(f"voice_download: {failure.message}; retrying in {wait:.0f} s")
            time.sleep(wait)
    raise AssertionError  # unreachable: count() is infinite


def seconds_to_wait(failure: Failure, attempt: int, cfg: VoiceDownload) -> float:
    """The wait that the site asks for, or one that doubles each time; at most `max_wait_seconds`."""
    first = cfg.rate_limit_seconds if failure.reason == "rate_limited" else cfg.backoff_seconds
    wait = first * 2**attempt if failure.wait is None else failure.wait
    return min(wait, cfg.max_wait_seconds)


def understand(error: BaseException) -> Failure:
    """Classify an error of yt-dlp by the errors that it wraps."""
    from yt_dlp.networking.exceptions import HTTPError, TransportError
    from yt_dlp.utils import ExtractorError

    chain = _chain(error)
    message = COLOURS.sub("", str(error)).removeprefix("ERROR: ").strip().splitlines()[0]
    answer = next((one for one in chain if isinstance(one, HTTPError)), None)
    wait = _retry_after(answer.response.headers.get("Retry-After")) if answer else None
    if (answer and answer.status == 429) or RATE_LIMIT.search(message):
        return Failure("rate_limited", message, wait)
    if SIGN_IN.search(message):
        advice = "set voice_download.cookies to the cookies of a browser that is signed in"
        return Failure("sign_in", f"{message} ({advice})", None)
    if answer:
        passes = answer.status >= 500
    elif any(isinstance(one, TransportError) for one in chain):
        passes = True  # yt-dlp marks these as expected too
    elif PROGRAMS.search(message):
        passes = False
    else:
        passes = not any(isinstance(one, ExtractorError) and one.expected for one in chain)
    return Failure("connection" if passes else "unavailable", message, wait)


def _chain(error: BaseException) -> list[BaseException]:
    """An error and all its causes, which yt-dlp keeps in several attributes."""
    found: list[BaseException] = []
    todo: list[Any] = [error]
    while todo:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            info = getattr(one, "exc_info", None) or (None, None)
            todo += [info[1], getattr(one, "cause", None), one.__cause__, one.__context__]
    return found


def _retry_after(value: str | None) -> float | None:
    """The wait in seconds of a Retry-After header: seconds or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
