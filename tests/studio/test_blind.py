"""Blind tests by the API: nothing tells before the answer, and no answer is lost."""

import io
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from likeness.common.io import read_json, write_json, write_text
from likeness.common.manifest import read_manifest, write_manifest
from likeness.common.ratings import CHOICES, KINDS
from likeness.voice.audio import encode
from likeness.voice.levels import frame_levels
from likeness.voice.loudness import LoudnessMeter
from likeness.voice.rows import Pair
from tests.conftest import ROOT, photo, prepared, synthetic
from tests.studio.conftest import PIPELINE, ask, serve, write_pairs
from tests.voice.sounds import babble, write

N = {"real_or_synthetic": 20, "preference": 20, "opinion": 21, "classes": 20}
TESTS = [(lane, kind) for lane, kinds in KINDS.items() for kind in kinds]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of both lanes whose labels are in sizes, rates, levels, metadata and names of files."""
    root = tmp_path_factory.mktemp("blind") / "repository"
    write_text(root / "params.yaml", (ROOT / "params.yaml").read_text())
    write_text(root / ".gitignore", "/data\n")
    write_text(root / ".dvc/config", "")
    write_text(root / "dvc.yaml", PIPELINE)
    for stage in ("voice_train", "image_train"):
        write_json(root / f"data/{stage}/training.json", {"base": "mini"})
    speech = root / "data/voice_synthesize"
    write_pairs(speech, 40)
    pairs = read_manifest(speech / "pairs.jsonl", Pair)
    pairs = [row.model_copy(update={"real": f"wavs/{row.id}.wav"}) for row in pairs]
    write_manifest(speech / "pairs.jsonl", pairs)
    for at, row in enumerate(pairs):
        real = encode(0.05 * babble(1.0, 22050, seed=at), 22050, "WAV")
        write(root / "data/voice_dataset" / row.real, real)
    real_rows = [prepared(f"r{at:02d}", "test") for at in range(20)]
    drawn = [synthetic(f"s{at:02d}") for at in range(24)]
    drawn = [row.model_copy(update={"attempt": int(at >= 20)}) for at, row in enumerate(drawn)]
    write_manifest(root / "data/image_prepare/manifest.jsonl", real_rows)
    write_manifest(root / "data/image_generate/manifest.jsonl", drawn)
    note = PngImagePlugin.PngInfo()
    note.add_text("Software", "tuned sd_mini")
    for at, row in enumerate([*real_rows, *drawn]):
        folder = "image_prepare" if at < 20 else "image_generate"
        path = root / "data" / folder / row.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        if at < 20:
            photo(at, size=(32, 32)).save(path, dpi=(72, 72), icc_profile=b"real")
        else:
            photo(at, size=(48, 48)).save(path, pnginfo=note)
            base = root / "data/image_generate/base" / f"{row.id}.png"
            base.parent.mkdir(exist_ok=True)
            photo(at + 50, size=(48, 48)).save(base)
    author = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    for command in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "made")):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.fixture
def blind(workspace: Path) -> Any:
    return ask(workspace)


def begin(client: Any, lane: str, kind: str, rater: str = "ann", **more: Any) -> Any:
    body = {"lane": lane, "kind": kind, "n": N[kind], "seed": 3, "rater": rater, **more}
    return client.post("/api/tests", json=body)


def answer(client: Any, shown: dict[str, Any], given: str | None = None) -> Any:
    """Answers the trial that is shown, by its first choice if not told otherwise."""
    trial = shown["trial"]
    body = {"rater": shown["rater"], "answer": given or trial["choices"][0]["answer"]}
    return client.post(f"/api/tests/{shown['test']}/trials/{trial['number']}", json=body)


def finish(client: Any, shown: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every trial that is left, each answered after it was given."""
    while shown["trial"]:
        yield shown
        shown = answer(client, shown).json()


def code(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


# --- nothing tells --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("lane", "kind"), TESTS)
def test_nothing_before_the_last_answer_tells_what_an_item_is(
    workspace: Path, lane: str, kind: str
) -> None:
    client = ask(workspace)
    replies = [begin(client, lane, kind)]
    shown = replies[0].json()
    test = shown["test"]
    media = []
    while shown["trial"]:
        media += [client.get(side["url"]) for side in shown["trial"]["sides"]]
        if shown["answered"] in (0, 10):
            replies += [client.get("/api/tests"), client.get(f"/api/tests/{test}/next?rater=ann")]
            refused = client.get(f"/api/tests/{test}/result?rater=ann")
            assert code(refused) == (409, "unfinished")
            replies.append(refused)
        replies.append(answer(client, shown))
        shown = replies[-1].json()
    result = client.get(f"/api/tests/{test}/result?rater=ann").json()
    assert len(result["trials"]) == N[kind]
    versions = [side["version"] for row in result["trials"] for side in row["sides"]]

    stored = read_json(workspace / f"data/ratings/{test}/test.json")
    secrets = {"base", "tuned", "real", "synthetic", "mini", "data/", ".wav", ".png", "seed"}
    secrets |= {stored["commit"]}
    for item in stored["items"]:
        for version, file in item["files"].items():
            secrets |= {item["id"], version, file["md5"], Path(file["path"]).stem}
    for reply in [*replies, *media]:
        assert secrets_in(reply, secrets) == [], reply.request.url
    assert {reply.status_code for reply in media} == {200}
    heads: dict[str, set[str]] = {version: set() for version in versions}
    for version, reply in zip(versions, media, strict=True):
        changing = {"content-length": "", "x-request-id": ""}
        heads[version].add(repr(sorted({**reply.headers, **changing}.items())))
    assert len(set.union(*heads.values())) == 1


def secrets_in(reply: Any, secrets: set[str]) -> list[str]:
    """Words in an answer beside what each answer has: its policies, the kind's name, the choices."""
    from likeness.studio.security import HEADERS

    headers = [
        f"{name}: {text}" for name, text in reply.headers.items() if text not in HEADERS.values()
    ]
    sent = reply.content
    if reply.headers["content-type"] == "application/json":
        value = reply.json()
        for one in value.get("tests", [value]):
            one.pop("kind", None)
        if value.get("trial"):
            kinds = [dict(each) for each in CHOICES.values()]
            assert {one["answer"]: one["label"] for one in value["trial"].pop("choices")} in kinds
        sent = json.dumps(value).encode()
    return [word for word in secrets if word.encode() in sent + "\n".join(headers).encode()]


def test_a_secret_that_is_told_is_found(blind: Any) -> None:
    reply = blind.get(
        f"/api/tests/{begin(blind, 'voice', 'opinion').json()['test']}/next?rater=base"
    )
    assert secrets_in(reply, {"base", "tuned"}) == ["base"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["real_or_synthetic", "preference", "opinion"])
def test_all_sounds_have_one_form_one_loudness_and_one_silence(blind: Any, kind: str) -> None:
    import soundfile

    heads, levels, ends = set(), [], []
    for shown in finish(blind, begin(blind, "voice", kind).json()):
        for side in shown["trial"]["sides"]:
            data = blind.get(side["url"]).content
            assert data[36:40] == b"data"  # nothing but the format before the samples
            samples, rate = soundfile.read(io.BytesIO(data))
            assert len(data) == 44 + 2 * len(samples)  # and nothing after them
            heads.add((data[8:36], rate))
            meter = LoudnessMeter(rate)
            meter.add(samples.astype(np.float32))
            levels.append(meter.integrated())
            frames = frame_levels(samples, rate)
            heard = np.flatnonzero(frames > frames.max() - 40)
            ends.append((heard[0], len(frames) - 1 - heard[-1]))
    assert len(heads) == 1
    assert levels == pytest.approx([-26] * len(levels), abs=0.05)
    # A quarter of a second before the first sound and after the last one, in frames of 10 ms.
    assert np.all(np.abs(np.array(ends) - 25) <= 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["real_or_synthetic", "preference", "classes"])
def test_all_images_have_one_size_and_no_metadata(blind: Any, kind: str) -> None:
    sizes = set()
    for shown in finish(blind, begin(blind, "image", kind).json()):
        for side in shown["trial"]["sides"]:
            data = blind.get(side["url"]).content
            chunks = re.findall(
                rb"IHDR|PLTE|IDAT|IEND|tEXt|zTXt|iTXt|iCCP|pHYs|eXIf|gAMA|sRGB", data
            )
            assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}
            image = Image.open(io.BytesIO(data))
            sizes.add((image.size, image.mode))
    assert sizes == {((32 if kind == "real_or_synthetic" else 48,) * 2, "RGB")}


# --- balance and order ----------------------------------------------------------------------------


def orders(root: Path, lane: str, kind: str, seed: int, rater: str) -> list[tuple[str, list[str]]]:
    from likeness.studio import trials

    test = trials.begin(root, "0" * 16, kind, lane, N[kind], seed)  # type: ignore[arg-type]
    return [(trial.item.id, trial.sides) for trial in trials.order(test, rater)]


@pytest.mark.parametrize(("lane", "kind"), TESTS)
def test_versions_and_sides_are_balanced(workspace: Path, lane: str, kind: str) -> None:
    for seed in range(3):
        trials = orders(workspace, lane, kind, seed, "ann")
        counts = Counter(sides[0] for _, sides in trials)
        assert len(set(counts.values())) == 1
        assert len({id for id, _ in trials}) == N[kind]
        assert len(counts) == {"real_or_synthetic": 2, "preference": 2, "opinion": 3}.get(kind, 1)


def test_no_position_tells_the_version(workspace: Path) -> None:
    """Over 200 seeds each position has either version as often as a coin would."""
    from likeness.studio import trials

    for kind in ("real_or_synthetic", "preference"):
        test = trials.begin(workspace, "0" * 16, kind, "voice", 20, 3)  # type: ignore[arg-type]
        each = [trials.order(test.model_copy(update={"seed": seed}), "ann") for seed in range(200)]
        firsts = np.array([[trial.sides[0] == "tuned" for trial in one] for one in each])
        # 200 flips: a position outside 0.34 to 0.66 is one in 200,000.
        assert np.all(np.abs(firsts.mean(0) - 0.5) < 0.16), kind
        assert abs(np.mean(firsts[:, 1:] == firsts[:, :-1]) - 0.5) < 0.06, kind  # nor the last one


def test_a_seed_gives_the_items_and_a_rater_the_order(workspace: Path) -> None:
    first = orders(workspace, "voice", "preference", 5, "ann")
    assert orders(workspace, "voice", "preference", 5, "ann") == first
    other = orders(workspace, "voice", "preference", 5, "ben")
    assert other != first
    assert sorted(id for id, _ in other) == sorted(id for id, _ in first)
    assert orders(workspace, "voice", "preference", 6, "ann") != first


def test_a_sentence_is_heard_once_where_two_voices_would_tell(workspace: Path) -> None:
    trials = orders(workspace, "voice", "real_or_synthetic", 5, "ann")
    assert len({id.partition("/")[2] for id, _ in trials}) == len(trials)


def test_pairs_of_images_have_the_same_seed(workspace: Path) -> None:
    ids = {id for id, _ in orders(workspace, "image", "preference", 1, "ann")}
    assert ids == {f"s{at:02d}" for at in range(20)}  # the last four needed a second attempt


# --- answers --------------------------------------------------------------------------------------


def test_what_a_test_draws_on_is_fixed_when_it_is_begun(blind: Any, workspace: Path) -> None:
    test = begin(blind, "voice", "preference").json()["test"]
    stored = read_json(workspace / f"data/ratings/{test}/test.json")
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=workspace, text=True)
    assert (stored["seed"], stored["commit"], stored["resolution"]) == (3, head.strip(), 24000)
    assert stored["model"] == {"base": "mini", "adapter": ""}
    assert len(stored["items"]) == 20
    assert re.fullmatch(r"[0-9a-f]{32}", stored["items"][0]["files"]["tuned"]["md5"])


def test_an_answer_stays_and_they_go_in_order(blind: Any) -> None:
    shown = begin(blind, "voice", "preference").json()
    assert answer(blind, shown).json()["answered"] == 1
    assert code(answer(blind, shown, "b")) == (409, "wrong_trial")
    ahead = {**shown, "trial": {**shown["trial"], "number": 5}}
    assert code(answer(blind, ahead)) == (409, "wrong_trial")
    assert code(answer(blind, {**ahead, "rater": "eve"})) == (409, "wrong_trial")
    assert code(answer(blind, shown, "good")) == (400, "wrong_answer")
    listed = {one["id"]: one["raters"] for one in blind.get("/api/tests").json()["tests"]}
    assert listed[shown["test"]] == [{"rater": "ann", "answered": 1}]


def test_a_test_goes_on_in_another_studio_where_it_was(workspace: Path) -> None:
    shown = begin(ask(workspace), "image", "classes").json()
    second = answer(ask(workspace), shown).json()
    again = ask(workspace).get(f"/api/tests/{shown['test']}/next?rater=ann").json()
    assert again == second
    assert again["trial"]["number"] == 2


@pytest.mark.slow
def test_a_killed_studio_has_lost_no_answer(workspace: Path, tmp_path: Path) -> None:
    shown: dict[str, Any] = {}
    for number in range(2):
        with serve(workspace, tmp_path / "log") as server, server.client() as client:
            shown = shown or begin(client, "voice", "opinion").json()
            shown = client.get(f"/api/tests/{shown['test']}/next?rater=ann").json()
            assert shown["answered"] == 5 * number
            for _ in range(5):
                shown = answer(client, shown).json()
            server.process.kill()


def test_of_many_answers_to_one_trial_one_is_kept(blind: Any, workspace: Path) -> None:
    shown = begin(blind, "voice", "preference").json()
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda given: answer(blind, shown, given), ["a", "b"] * 8))
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 15
    path = workspace / f"data/ratings/{shown['test']}/ann.jsonl"
    assert len(path.read_text().splitlines()) == 1


def test_the_rest_of_a_line_is_written_over(blind: Any, workspace: Path) -> None:
    shown = answer(blind, begin(blind, "voice", "preference").json()).json()
    path = workspace / f"data/ratings/{shown['test']}/ann.jsonl"
    path.write_bytes(path.read_bytes() + b'{"trial": 2, "it')
    assert answer(blind, shown).json()["answered"] == 2
    assert [json.loads(line)["trial"] for line in path.read_text().splitlines()] == [1, 2]


def test_the_result_has_labels_and_the_figures_of_all_who_finished(blind: Any) -> None:
    first = begin(blind, "voice", "real_or_synthetic").json()
    test = first["test"]
    list(finish(blind, first))
    alone = blind.get(f"/api/tests/{test}/result?rater=ann").json()
    assert alone["figures"]["real_or_synthetic_right"] == 0.5  # always the first choice
    assert alone["figures"]["real_or_synthetic_alpha"] is None
    other = blind.get(f"/api/tests/{test}/next?rater=ben").json()
    assert code(blind.get(f"/api/tests/{test}/result?rater=ben")) == (409, "unfinished")
    list(finish(blind, other))
    both = blind.get(f"/api/tests/{test}/result?rater=ben").json()
    assert both["raters"] == ["ann", "ben"]
    assert both["figures"]["real_or_synthetic_answers"] == 40
    assert both["seed"] == 3
    versions = Counter(row["sides"][0]["version"] for row in both["trials"])
    assert versions == {"real": 10, "tuned": 10}
    assert all(
        row["sides"][0]["url"].startswith("/api/files/workspace/data/voice_")
        for row in both["trials"]
    )


def test_what_was_made_anew_is_not_played(blind: Any, workspace: Path) -> None:
    test = begin(blind, "voice", "preference").json()["test"]
    first = read_json(workspace / f"data/ratings/{test}/test.json")["items"][0]
    path = workspace / "data" / first["files"]["tuned"]["path"]
    before = path.read_bytes()
    path.write_bytes(encode(babble(1.0, 24000, seed=99), 24000, "WAV"))
    replies = [
        blind.get(f"/api/tests/{test}/trials/{number}/media/{side}?rater=ann")
        for number in range(1, 21)
        for side in "ab"
    ]
    path.write_bytes(before)
    (changed,) = [reply for reply in replies if reply.status_code != 200]
    assert code(changed) == (409, "changed")
    assert "tuned" not in changed.text


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"n": 19}, (400, "wrong_n")),
        ({"n": 42}, (400, "too_many")),
        ({"kind": "classes"}, (400, "wrong_kind")),
        ({"rater": "../x"}, (400, "string_pattern_mismatch")),
        ({"rater": "Ann"}, (400, "string_pattern_mismatch")),
        ({"seed": -1}, (400, "greater_than_equal")),
    ],
)
def test_a_test_that_cannot_be_begun(blind: Any, changes: dict[str, Any], found: Any) -> None:
    body = {"lane": "voice", "kind": "preference", "n": 20, "rater": "ann", **changes}
    assert code(blind.post("/api/tests", json=body)) == found


def test_ids_are_no_paths(blind: Any) -> None:
    for id in ("..%2f..%2fdata", "0123456789abcde/", "0123456789ABCDEF", "0" * 16, "..", "%00"):
        for path in ("next", "result", "trials/1/media/a"):
            assert blind.get(f"/api/tests/{id}/{path}?rater=ann").status_code == 404
    test = begin(blind, "voice", "opinion").json()["test"]
    for path in ("trials/1/media/b", "trials/0/media/a", "trials/22/media/a"):
        assert code(blind.get(f"/api/tests/{test}/{path}?rater=ann")) == (404, "not_found")
    assert blind.get(f"/api/tests/{test}/next?rater=..%2fx").status_code == 400
    assert blind.get(f"/api/files/workspace/data/ratings/{test}/test.json").status_code == 404
