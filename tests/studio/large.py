"""A workspace as large as the pages are held to: 5,000 clips, 3,000 photos and 3,000 synthetic images."""

from pathlib import Path

from likeness.common.io import write_bytes
from likeness.common.manifest import Row, write_manifest
from likeness.voice.rows import RejectedClip, Utterance
from likeness.voice.words import Word
from tests.conftest import encoded, mixed, photo, prepared, synthetic
from tests.voice.test_dataset import clip

KEPT, REJECTED, IMAGES = 4000, 1000, 3000
TEXT = "The black shoes are light, and they come in four sizes and three colours."
STAGE = '  image_generate:\n    cmd: "true"\n    outs: [data/image_generate]\n'


def write_large(root: Path) -> None:
    """Fill the workspace of the studio's tests with such lists; of the clips there is no audio."""
    with (root / "dvc.yaml").open("a", encoding="utf-8") as file:
        file.write(STAGE)
    words = [
        Word(word=f" {word}", start=0.3 * at, end=0.3 * at + 0.25, probability=0.9)
        for at, word in enumerate(TEXT.split())
    ]
    kept = [
        clip(f"r{at // 100:02d}", at % 100, heard=TEXT, text=TEXT, words=words)
        for at in range(KEPT)
    ]
    rejected = [
        RejectedClip(
            id=f"s{at // 100:02d}-{at % 100:04d}", recording=f"s{at // 100:02d}", start=2.5 * at,
            end=2.5 * at + 2, heard=TEXT, text=TEXT, reason="snr", measure="snr_db", value=2.5,
            threshold=14.0,
        )
        for at in range(REJECTED)
    ]  # fmt: skip
    dataset = [
        Utterance(
            id=one.id, file_name=f"wavs/{one.id}.wav", text=TEXT, normalized=TEXT, start=one.start,
            recording=one.recording, end=one.end, seconds=one.end - one.start, split="train",
            augmented_from="",
        )
        for one in kept
    ]  # fmt: skip
    products = mixed(IMAGES)
    looks = [{"baseColour": one.baseColour, "gender": one.gender} for one in products]
    real = [prepared(f"{at:05d}", **look) for at, look in enumerate(looks)]
    drawn = [synthetic(f"{at:05d}", **look) for at, look in enumerate(looks)]
    lists: dict[str, list[Row]] = {
        "voice_clips/manifest.jsonl": [*kept],
        "voice_clips/rejected.jsonl": [*rejected],
        "voice_dataset/manifest.jsonl": [*dataset],
        "image_prepare/manifest.jsonl": [*real],
        "image_generate/manifest.jsonl": [*drawn],
    }
    for path, rows in lists.items():
        write_manifest(root / "data" / path, rows)
    png = {name: encoded(photo(0, name), "PNG") for name in {one.baseColour for one in products}}
    for folder, images in (("image_prepare", real), ("image_generate", drawn)):
        for row in images:
            write_bytes(root / "data" / folder / row.file_name, png[row.baseColour])
