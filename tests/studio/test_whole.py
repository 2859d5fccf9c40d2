"""Both lanes by the pages alone, on the repository's own pipeline: from what is sent to what is heard or
seen. The commands that the pages show give the same `dvc.lock` in a fresh clone.

They take minutes: `pytest tests/studio/test_whole.py --whole`.
"""

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from likeness.repository.dvc import dvc_cache
from likeness.repository.experiments import git, read_file
from likeness.repository.runs import experiments
from likeness.studio import jobs
from tests.conftest import ROOT, absent, library_env
from tests.studio.conftest import Server, serve
from tests.studio.test_pages import browser as browser  # a fixture
from tests.studio.test_pages import open_page

pytestmark = pytest.mark.slow

# What the stages read beside what is sent: by the remote that has it. `here` is this checkout's cache.
VOICE = {
    "bundled": ["models/xtts_mini", "data/voice_download"],
    "here": ["models/whisper_tiny_en", "models/speaker_encoder", "models/dnsmos"],
}
IMAGE = {"bundled": ["models/sd_mini"], "here": ["models/vision_features"]}
RECORDINGS = ("05_shop.flac", "03_new.wav")  # twenty clips
PHOTOS = 60
# Trainings of seconds.
VOICE_PARAMS = {
    "voice_train.epochs": 1, "voice_train.evaluate_every": 1, "voice_train.sentences": 1,
}  # fmt: skip
IMAGE_PARAMS = {
    "image_train.epochs": 1, "image_train.evaluate_every": 6, "image_train.samples": 1,
    "image_train.warmup_steps": 2, "image_generate.count": 4, "image_generate.baseline": 1,
    "image_generate.max_attempts": 1, "image_generate.max_rejected_share": 1,
    "image_generate.steps": 4,
}  # fmt: skip
MILLISECONDS = 1_800_000  # that a job, or a command of DVC, may take


@pytest.fixture(scope="module", autouse=True)
def _wanted(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--whole"):
        pytest.skip("takes minutes; --whole runs it")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    yield page
    context.close()
    assert told == []


def clone(source: Path, target: Path, wanted: dict[str, list[str]]) -> Path:
    """A clone with a cache of its own, into which it pulls these inputs, by their remotes."""
    git(source.parent, "clone", "--quiet", str(source), str(target))
    for key, value in (("user.name", "t"), ("user.email", "t@localhost")):
        git(target, "config", key, value)
    remotes = {"here": dvc_cache(ROOT), "source": dvc_cache(source)}
    lines = [f"['remote \"{name}\"']\n    url = {url}\n" for name, url in remotes.items()]
    (target / ".dvc/config.local").write_text("".join(lines))
    for remote, paths in wanted.items():
        done = shell(target, f"dvc pull --quiet --remote {remote} {' '.join(paths)}")
        if done.returncode:
            assert remote == "here", done.stderr
            absent(f"{', '.join(paths)}: not in DVC's cache; make repro brings it there")
    return target


def shell(root: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """A command as a user types it."""
    return subprocess.run(
        command, shell=True, cwd=root, env=library_env(), capture_output=True, text=True
    )


def send(page: Any, files: list[Path], name: str, param: str) -> None:
    form = page.locator("form", has=page.get_by_role("button", name="Send"))
    form.get_by_label("files", exact=True).set_input_files(files)
    form.get_by_label("name, which is new").fill(name)
    form.get_by_role("button", name="Send").click()
    page.wait_for_selector(f"text=dvc add data/raw/{name}", timeout=MILLISECONDS)
    assert page.get_by_label(param, exact=True).input_value() == name


def run(
    page: Any, server: Server, root: Path, button: str, name: str, changes: dict[str, int]
) -> str:
    """Put the job of a form into the queue, and its experiment into the workspace; the form's command."""
    form = page.locator("form", has=page.get_by_label("name of the experiment"))
    form.get_by_text("All params").click()
    for key, value in changes.items():
        form.get_by_label(key, exact=True).fill(str(value))
    form.get_by_label("name of the experiment").fill(name)
    shown = str(form.locator("code").inner_text())
    form.get_by_role("button", name=button, exact=True).click()
    page.wait_for_selector(f"text={name} is in the queue", timeout=MILLISECONDS)
    open_page(page, f"{server.url}/jobs?id={name}")
    card = f"article[aria-label={name}]"
    page.wait_for_selector(f"{card} .state-done, {card} .state-failed", timeout=MILLISECONDS)
    job = jobs.find_job(root, name)
    assert jobs.state(job) == jobs.Status("done"), job.log.read_text()[-2000:]
    page.get_by_role("button", name=f"Apply {name}").click()
    page.wait_for_selector(f"text={name} is in the workspace", timeout=MILLISECONDS)
    return shown


def assert_repeated(
    root: Path, fresh: Path, inputs: dict[str, list[str]], name: str, shown: str
) -> None:
    """In a clone that has the input and knows no result, the command gives the experiment's lock."""
    before = git(root, "rev-parse", "HEAD")
    sent = (f"data/raw/{name}.dvc", "data/raw/.gitignore")
    git(root, "add", *sent)
    git(root, "commit", "--quiet", "--message", "input", "--", *sent)
    clone(root, fresh, {**inputs, "source": [f"data/raw/{name}"]})
    done = shell(fresh, shown)
    assert done.returncode == 0, done.stderr[-2000:]
    again = experiments(fresh, git(fresh, "rev-parse", "HEAD"))["trained"]
    once = experiments(root, before)["trained"]
    lock = read_file(root, once, "dvc.lock")
    assert lock == read_file(fresh, again, "dvc.lock")
    assert lock == (root / "dvc.lock").read_bytes()
    assert lock != read_file(root, before, "dvc.lock")


def test_from_recordings_to_a_sentence(page: Any, tmp_path: Path) -> None:
    root = clone(ROOT, tmp_path / "mine", VOICE)
    sample = clone(ROOT, tmp_path / "sample", {"bundled": ["data/raw/sample_voice"]})
    recordings = [sample / "data/raw/sample_voice" / name for name in RECORDINGS]
    with serve(root, tmp_path / "log") as server:
        open_page(page, f"{server.url}/voice#token={server.token}")
        send(page, recordings, "hers", "inputs.recordings")
        run(page, server, root, "Build", "built", {"voice_dataset.block_seconds": 5})
        open_page(page, f"{server.url}/clips")
        page.wait_for_selector("text=05_shop-0001")
        open_page(page, f"{server.url}/training")
        assert page.get_by_label("inputs.recordings", exact=True).input_value() == "hers"
        shown = run(page, server, root, "Train", "trained", VOICE_PARAMS)
        assert "voice_dataset.block_seconds=5" in shown  # as in the workspace, not in the commit
        open_page(page, f"{server.url}/training")
        adapter = page.get_by_label("adapter", exact=True)
        adapter.select_option(
            adapter.locator("option", has_text="voice-001").first.get_attribute("value")
        )
        page.get_by_role("button", name="Speak").click()
        page.wait_for_selector("audio[src^='blob:']", timeout=MILLISECONDS)
        caption = page.locator("figure", has=page.locator("audio[src^='blob:']")).inner_text()
        assert caption.startswith("voice-001")
        page.screenshot(path=tmp_path / "training.png", full_page=True)
        page.goto("about:blank")  # which does not look for the server when that ends
    assert_repeated(root, tmp_path / "fresh", VOICE, "hers", shown)


def test_from_a_catalogue_to_an_image(page: Any, tmp_path: Path) -> None:
    root = clone(ROOT, tmp_path / "mine", IMAGE)
    sample = clone(ROOT, tmp_path / "sample", {"bundled": ["data/raw/sample_catalog"]})
    archive = write_archive(tmp_path / "shoes.zip", sample / "data/raw/sample_catalog", PHOTOS)
    with serve(root, tmp_path / "log") as server:
        open_page(page, f"{server.url}/images#token={server.token}")
        send(page, [archive], "shoes", "inputs.catalog")
        shown = run(page, server, root, "Draw", "trained", IMAGE_PARAMS)
        open_page(page, f"{server.url}/images")
        page.get_by_label("model", exact=True).select_option("sd_mini+image_train")
        page.get_by_label("seeds", exact=True).fill("1")
        page.get_by_label("steps", exact=True).fill("4")
        page.get_by_role("button", name="Draw").first.click()
        page.wait_for_selector("text=seed 1 · 4 steps", timeout=MILLISECONDS)
        page.screenshot(path=tmp_path / "images.png", full_page=True)
        page.goto("about:blank")
    assert_repeated(root, tmp_path / "fresh", IMAGE, "shoes", shown)


def write_archive(path: Path, catalogue: Path, count: int) -> Path:
    """The first casual shoes of a catalogue, with their photos, as a ZIP archive."""
    heading, *lines = (catalogue / "styles.csv").read_text().splitlines()
    shoes = [line for line in lines if ",Casual Shoes," in line][:count]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("shop/styles.csv", "\n".join([heading, *shoes, ""]))
        for photo in (f"images/{line.partition(',')[0]}.jpg" for line in shoes):
            if (catalogue / photo).is_file():
                archive.write(catalogue / photo, f"shop/{photo}")
    return path
