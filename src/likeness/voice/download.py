"""Recordings from URLs, through yt-dlp: patient with sites that drop or limit, and never twice."""

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
    count_reasons,
    write_manifest,
)
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.voice.listing import LONGEST
from likeness.voice.rows import Download

T = TypeVar("T")

REASONS = ("rate_limited", "connection", "sign_in", "live", "unavailable")
PASSING = ("rate_limited", "connection")  # what may be otherwise the next time
ENDLESS = 3600.0  # seconds after which a file that declares no length is taken for a live stream
# What is kept of yt-dlp's description: no addresses that expire, no counters that move.
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
PROGRAMS = re.compile(r"\bff(mpeg|probe)\b", re.IGNORECASE)  # missing now, missing the next time
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
    """Fetch the best audio of every URL; playlists and channels count as their entries.

    Files are kept outside the outputs as well, so that a run fetches only what is new, and a killed
    one goes on within the file. Writes to `out_dir`: `media/`, `info/` (yt-dlp's description of
    each), `manifest.jsonl` (a `Download` a row) and `rejected.jsonl`.

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
    write_manifest(out_dir / "rejected.jsonl", rejected)
    write_manifest(out_dir / "manifest.jsonl", rows.values())
    reasons = count_reasons(rejected)
    return {
        "files": len(rows),
        "seconds": round(sum(row.seconds or 0 for row in rows.values()), 2),
        **{f"rejected_{reason}": reasons.get(reason, 0) for reason in REASONS},
    }


class Shelf:
    """What was fetched so far: media, descriptions, and a row for each, written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = [Download.model_validate(read_json(path)) for path in folder.glob("rows/*.json")]
        self._by_id = {row.id: row for row in rows}

    def find(self, name: str) -> Download | None:
        """The row of this id or URL."""
        by_url = (row for row in self._by_id.values() if row.url == name)
        return self._by_id.get(name) or next(by_url, None)

    def add(self, row: Download) -> None:
        write_json(self.folder / "rows" / f"{row.id}.json", row.model_dump())
        self._by_id[row.id] = row


def read_cookies(path: str) -> str:
    """The text of a file of cookies, read once as yt-dlp would write to it; empty without a path."""
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise LikenessError(
            f"params.yaml: voice_download.cookies: {path}: cannot be read ({error}); it must be a "
            "cookies.txt that a browser's add-on exported"
        ) from error


def fetch(url: str, form: str, cookies: str, shelf: Shelf, bar: Any) -> Download | list[str]:
    """The row of what is at `url`, fetched if the shelf has it not; or a playlist's URLs.

    Raises:
        Failure: it is a live stream, which has no end.
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
        "noplaylist": True,  # of a video's address within a playlist, the video
        # One loop of retries, ours: it waits for rate limits, and a .part file is gone on with.
        "retries": 0,
        "fragment_retries": 0,
        "extractor_retries": 0,
        "skip_unavailable_fragments": False,
        "fixup": "never",  # would need FFmpeg's programs; voice_segment decodes what comes
        "updatetime": False,
        "js_runtimes": {"deno": {}, "node": {}},
    }

    def begin(**more: Any) -> YoutubeDL:  # who reads the cookies writes them too
        return YoutubeDL({**options, **more, "cookiefile": StringIO(cookies) if cookies else None})

    with begin() as client:
        found = client.extract_info(url, download=False)
    if "entries" in found:
        return [entry.get("url") or entry["webpage_url"] for entry in found["entries"]]
    if found.get("live_status") in ("is_live", "is_upcoming", "post_live"):
        raise Failure("live", "a live stream; ask for it when it is over", None)
    address = found.get("webpage_url") or url
    # Sites name their items; a bare file's id is only the end of its address.
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
    """yt-dlp's messages, of which errors come as exceptions too."""

    def debug(self, message: str) -> None:
        pass

    warning = error = debug


@dataclass
class Failure(Exception):
    """Why a URL could not be fetched.

    Attributes:
        reason: `rate_limited` and `connection` may pass; `sign_in`, `live` and `unavailable` do not.
        wait: seconds that the site asks for, if it does.
    """

    reason: str
    message: str
    wait: float | None


def patiently(act: Callable[[], T], cfg: VoiceDownload, rt: Runtime) -> T:
    """`act()`, again after a wait as long as it fails for what may pass.

    Raises:
        Failure: what does not pass, or has not after `retries` repetitions.
    """
    from yt_dlp.utils import YoutubeDLError

    for attempt in count():
        try:
            return act()
        except YoutubeDLError as error:
            failure = understand(error)
            if failure.reason not in PASSING or attempt == cfg.retries:
                raise failure from error
            wait = seconds_to_wait(failure, attempt, cfg)
            rt.log(f"voice_download: {failure.message}; again in {wait:.0f} s")
            time.sleep(wait)
    raise AssertionError  # count() has no end


def seconds_to_wait(failure: Failure, attempt: int, cfg: VoiceDownload) -> float:
    """What the site asks for; else a time that doubles with each attempt; `max_wait_seconds` at most."""
    first = cfg.rate_limit_seconds if failure.reason == "rate_limited" else cfg.backoff_seconds
    wait = first * 2**attempt if failure.wait is None else failure.wait
    return min(wait, cfg.max_wait_seconds)


def understand(error: BaseException) -> Failure:
    """What kind of failure an error of yt-dlp's is, from the errors that it wraps."""
    from yt_dlp.networking.exceptions import HTTPError, TransportError
    from yt_dlp.utils import ExtractorError

    chain = _chain(error)
    message = COLOURS.sub("", str(error)).removeprefix("ERROR: ").strip().splitlines()[0]
    answer = next((one for one in chain if isinstance(one, HTTPError)), None)
    wait = _retry_after(answer.response.headers.get("Retry-After")) if answer else None
    if (answer and answer.status == 429) or RATE_LIMIT.search(message):
        return Failure("rate_limited", message, wait)
    if SIGN_IN.search(message):
        advice = "give it the cookies of a browser that is signed in: voice_download.cookies"
        return Failure("sign_in", f"{message} ({advice})", None)
    if answer:
        passes = answer.status >= 500
    elif any(isinstance(one, TransportError) for one in chain):
        passes = True  # yt-dlp calls these expected too
    elif PROGRAMS.search(message):
        passes = False
    else:
        passes = not any(isinstance(one, ExtractorError) and one.expected for one in chain)
    return Failure("connection" if passes else "unavailable", message, wait)


def _chain(error: BaseException) -> list[BaseException]:
    """An error and all that it was raised from; yt-dlp keeps them in several places."""
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
    """Seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
