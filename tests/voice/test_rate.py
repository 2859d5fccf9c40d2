"""The lane's blind tests as a stage; tests/common/test_tally.py has the figures."""

from pathlib import Path

from likeness.common.runtime import Runtime
from likeness.voice.rate import VoiceRate, rate
from tests.conftest import files_of, section
from tests.rated import item, write_test


def run(root: Path, out: Path, rt: Runtime) -> dict[str, object]:
    return rate(
        section(VoiceRate, rounds=50), ratings=root / "ratings", dataset=root / "voice_dataset",
        synthesized=root / "voice_synthesize", out_dir=out / "out", plots_dir=out / "plots",
        report=out / "ratings.md", rt=rt,
    )  # fmt: skip


def test_scores_of_recordings_and_of_what_was_synthesized(tmp_path: Path, rt: Runtime) -> None:
    folders = {"real": "voice_dataset", "base": "voice_synthesize", "tuned": "voice_synthesize"}
    items = [
        item(f"{name}/{at}", tmp_path, {name: f"{folder}/{name}-{at}.wav"})
        for at in range(4)
        for name, folder in folders.items()
    ]
    rules = {"ann": lambda at, one, sides: {"real": "5", "base": "2", "tuned": "3"}[sides[0]]}
    write_test(tmp_path / "ratings", "0" * 16, "opinion", "voice", items, rules)
    found = run(tmp_path, tmp_path / "first", rt)
    assert (found["opinion_real"], found["opinion_difference"], found["opinion_n"]) == (5, 1, 4)
    assert "classes_n" not in found
    run(tmp_path, tmp_path / "second", rt)
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")


def test_without_ratings_there_are_counts_alone(tmp_path: Path, rt: Runtime) -> None:
    found = run(tmp_path, tmp_path / "out", rt)
    assert {value for value in found.values() if value is not None} == {0}
