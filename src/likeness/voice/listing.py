"""Which files of a folder are recordings, and the ids that their names give."""

import os
import re
import unicodedata
from collections import Counter
from hashlib import sha256
from pathlib import Path

from likeness.common.errors import LikenessError, shortened
from likeness.common.manifest import read_manifest
from likeness.voice.rows import SCRIPT, Download

# Files often found beside recordings: texts, subtitles, playlists, covers, checksums, editor files.
SIDECARS = re.compile(
    r"txt|md|rtf|pdf|docx?|odt|html?|xml|jsonl?|csv|tsv|xlsx?|ya?ml|ini|log|nfo|url|db|dvc|description"
    r"|srt|vtt|sbv|ass|ssa|sub|idx|lrc|ttml|textgrid|eaf|lab|m3u8?|pls|cue|xspf|wpl|asx"
    r"|jpe?g|png|gif|webp|bmp|tiff?|heic|svg|md5|sha1|sha256|sfv|sig|asc|asd|pe[ak]k?|pkf|reapeaks|sfk"
)
LONGEST = 100  # bytes of an id; later stages append to it, and a file name has at most 255


def list_recordings(recordings: Path, downloads: Path) -> tuple[dict[str, Path], Counter[str]]:
    """Every file that should be a recording, by the id made from its name; and a count of the others.

    Hidden files are left out, among them the `._a.wav` that macOS writes. So are `SIDECARS`, which are
    counted by the ending of their name.

    Raises:
        LikenessError: the folder does not exist, neither folder has a recording, a folder in it is a
            symbolic link, or a name is not UTF-8.
    """
    if not recordings.is_dir():
        raise LikenessError(f"{recordings}: no such folder; inputs.recordings names it")
    paths, beside = [], Counter[str]()
    for path in _files(recordings):
        ending = path.suffix.lower()
        if SIDECARS.fullmatch(ending[1:]):
            beside[ending] += path != recordings / SCRIPT
        else:
            paths.append(path)
    stems = {path: path.relative_to(recordings).with_suffix("").as_posix() for path in paths}
    fetched = read_manifest(downloads / "manifest.jsonl", Download)
    stems |= {downloads / row.file_name: row.id for row in fetched}
    if not stems:
        others = f" (only {told(beside)})" if beside.total() else ""
        raise LikenessError(
            f"{recordings}: no recordings{others}; put audio files there, of any format"
        )
    slugs = {path: _slug(stem) for path, stem in stems.items()}
    # Some file systems do not distinguish `A` from `a`.
    shared = Counter(slug.casefold() for slug in slugs.values())
    named: dict[str, Path] = {}
    for path, slug in slugs.items():
        short = slug.encode()[:LONGEST].decode(errors="ignore")
        if short != slug or shared[slug.casefold()] > 1:  # `a.wav` and `a.mp3` are two recordings
            source = source_of(path, recordings, downloads)
            short += f"-{sha256(source.encode()).hexdigest()[:6]}"
        named[short] = path
    return dict(sorted(named.items())), +beside


def _files(folder: Path) -> list[Path]:
    """Every file below a folder that is not hidden, nor in a hidden folder."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            if name.encode(errors="replace").decode() != name:
                raise LikenessError(
                    f"{folder}: the name {os.fsencode(name)!r} is not UTF-8, and DVC cannot track it; "
                    "rename it (`convmv -r -f latin1 -t utf8 --notest` does so for a folder)"
                )
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if Path(place, name).is_symlink():
                raise LikenessError(
                    f"{Path(place, name)}: a link to a folder, which DVC does not track; put the "
                    "folder itself there"
                )
        visible = (Path(place, name) for name in sorted(names) if not name.startswith("."))
        found += [path for path in visible if path.is_file() or path.is_symlink()]
    return found


def source_of(path: Path, recordings: Path, downloads: Path) -> str:
    """A file's path relative to whichever of the two folders it is in."""
    folder = recordings if path.is_relative_to(recordings) else downloads
    return path.relative_to(folder).as_posix()


def told(beside: Counter[str]) -> str:
    """Counts by ending as one line of text: `3 .txt, 1 .jpg`."""
    return shortened([f"{n} {ending}" for ending, n in beside.most_common()])


def _slug(name: str) -> str:
    # macOS writes an accent as a separate character, which `\w` does not match.
    plain = unicodedata.normalize("NFC", name)
    return re.sub(r"[^\w-]+", "_", plain).strip("_") or "recording"
