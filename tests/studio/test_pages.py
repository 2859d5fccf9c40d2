"""The pages, in a real browser on a real server; and the files that they are made of."""

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.studio import jobs
from likeness.voice.audio import encode
from tests.conftest import binary
from tests.studio.conftest import Server
from tests.studio.test_voices import VOICES
from tests.voice.sounds import babble

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
MOST_BYTES = 300_000  # of all that a page loads to be used


def test_what_others_wrote_has_the_hash_that_is_stated() -> None:
    from likeness.studio.pages import STATIC

    vendor = STATIC / "vendor"
    stated = dict(
        re.findall(r"\| (\S+) \|.*\| ([0-9a-f]{64}) \|", (vendor / "README.md").read_text())
    )
    assert {path.name for path in vendor.iterdir()} - {"README.md", "uplot.LICENSE"} == {*stated}
    for name, digest in stated.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


def test_a_page_needs_no_token_and_asks_for_nothing_from_elsewhere(client: Any) -> None:
    from likeness.studio.pages import FILES, PAGES

    client.headers.pop("Authorization")
    for path in ("/", *(f"/{page}" for page in PAGES)):
        assert client.get(path).text == FILES["index.html"].read_text(), path
    for name, path in FILES.items():
        answer = client.get(f"/static/{name}")
        assert answer.content == path.read_bytes()
        again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        links = re.findall(r"https?://[^\s\"'`]+", path.read_text(encoding="utf-8"))
        assert {*links} <= {"http://www.w3.org/2000/svg"} or "vendor" in name, name
    for name in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "vendor", "", "pages/../../app.py"):
        assert client.get(f"/static/{name}").status_code in (401, 404), name


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = binary("chromium", "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*QUIET])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """A page of a browser that has the cookie; it may ask this server only, and its console is empty."""
    context = browser.new_context()
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: told.extend(
        [] if request.url.startswith((server.url, "data:", "blob:")) else [request.url]))  # fmt: skip
    open_page(page, f"{server.url}/jobs#token={server.token}")
    yield page
    context.close()
    assert told == []


def open_page(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("main[data-ready]")


@pytest.mark.slow
def test_each_page_is_small(page: Any, server: Server) -> None:
    from likeness.studio.pages import PAGES

    page.route("**", lambda route: route.continue_())  # this turns the browser's cache off
    for name in PAGES:
        open_page(page, f"{server.url}/{name}")
        assert page.inner_text("h1"), name
        assert not page.locator("#said.error").count(), (name, page.inner_text("#said"))
        entries = page.evaluate(
            "performance.getEntries().map((one) => [one.name, one.decodedBodySize ?? 0])"
        )
        sizes = {url: size for url, size in entries if "/static/" in url or url.endswith(name)}
        assert f"{server.url}/static/studio.js" in sizes
        assert 20_000 < sum(sizes.values()) < MOST_BYTES, (name, sizes)


@pytest.mark.slow
def test_the_token_stays_out_of_the_address_and_a_wrong_one_is_told(
    browser: Any, server: Server
) -> None:
    context = browser.new_context()
    page = context.new_page()
    open_page(page, f"{server.url}/#token=wrong")
    assert page.url == f"{server.url}/"
    page.get_by_label("token").fill("wrong too")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=not the token")
    page.get_by_label("token").fill(server.token)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Build the dataset")
    page.reload()  # the cookie is enough now
    page.wait_for_selector("text=Build the dataset")
    context.close()


@pytest.mark.slow
def test_a_recording_is_sent_and_a_job_is_run_on_it(
    page: Any, server: Server, repository: Path, tmp_path: Path
) -> None:
    """From the upload to the experiment and its log, by the page alone."""
    recording = tmp_path / "my speech.wav"
    recording.write_bytes(encode(np.zeros(48000), 24000, "WAV"))
    open_page(page, f"{server.url}/voice")
    page.get_by_label("files", exact=True).set_input_files(recording)
    page.get_by_label("name, which is new").fill("her_voice")
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector("text=dvc add data/raw/her_voice: 1 files")
    assert (repository / "data/raw/her_voice/my speech.wav").read_bytes() == recording.read_bytes()
    assert (repository / "data/raw/her_voice.dvc").is_file()
    assert page.get_by_label("inputs.recordings").input_value() == "her_voice"
    open_page(page, f"{server.url}/training")
    page.get_by_label("voice_train.epochs", exact=True).fill("3")
    page.get_by_label("name of the experiment").fill("three")
    assert "dvc exp run -n three -S 'voice_train.epochs=3' voice_train" in page.inner_text("main")
    page.get_by_role("button", name="Train").click()
    page.wait_for_selector("text=three is in the queue")
    open_page(page, f"{server.url}/jobs?id=three")
    page.wait_for_selector("article[aria-label=three] .state-done", timeout=120_000)
    job = jobs.find_job(repository, "three")
    shown = page.inner_text("pre").splitlines()
    assert shown[-1] in job.log.read_text()
    assert "three" in [row["name"] for row in server_experiments(server)]


def server_experiments(server: Server) -> list[dict[str, Any]]:
    with server.client() as client:
        return list(client.get("/api/experiments").json()["experiments"])


@pytest.mark.slow
def test_speech_and_images_are_made_on_the_page(page: Any, server: Server) -> None:
    open_page(page, f"{server.url}/images")
    page.get_by_label("seeds", exact=True).fill("1 2")
    page.get_by_label("steps", exact=True).fill("2")
    page.get_by_role("button", name="Draw").first.click()
    page.wait_for_selector("text=seed 2 · 2 steps")
    assert page.locator("img[src^='data:image/png']").count() == 2


@pytest.mark.slow
def test_a_voice_is_made_and_heard_on_the_page(page: Any, server: Server, tmp_path: Path) -> None:
    recording = tmp_path / "ben.wav"
    recording.write_bytes(encode(babble(6.0, 24000), 24000, "WAV"))
    open_page(page, f"{server.url}/training")
    page.get_by_label("files", exact=True).set_input_files(recording)
    page.get_by_label("name, which is new").fill("ben")
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector("text=ben, of 6 seconds of speech, is the voice above")
    assert page.get_by_label("voice", exact=True).input_value() == "ben"
    page.get_by_role("button", name="Speak").click()
    page.wait_for_selector("audio[src^='blob:']")


@pytest.mark.slow
def test_a_voice_is_deleted_on_the_page_when_that_is_confirmed(
    page: Any, server: Server, repository: Path
) -> None:
    folder = repository / VOICES
    for name in ("dora", "ella"):
        (folder / name).mkdir(parents=True)
    open_page(page, f"{server.url}/training")
    page.get_by_text("Voices made here").click()
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.accept() if len(asked) == 2 else dialog.dismiss()

    page.on("dialog", answer)
    for _ in range(2):
        assert (folder / "dora").is_dir()
        page.get_by_role("button", name="Delete dora").focus()
        page.keyboard.press("Enter")
    page.wait_for_selector("text=dora is deleted")
    assert asked == ["Delete the voice dora? It cannot be brought back."] * 2
    assert not (folder / "dora").exists()
    assert has_focus(page, "summary")
    assert page.get_by_role("button", name="Delete dora").count() == 0
    assert page.get_by_role("button", name="Delete ella").is_visible()
    (folder / "ella").rmdir()


@pytest.mark.slow
def test_curves_have_their_values_as_a_table_that_stays_open(page: Any, server: Server) -> None:
    open_page(page, f"{server.url}/training")
    page.wait_for_selector("figure .uplot[aria-hidden=true]")
    summary = page.get_by_text("Values of wer")
    summary.focus()
    page.keyboard.press("Enter")
    rows = page.locator("details[open] tr").all_inner_texts()
    assert rows == ["step\twer", "0\t0.25", "10\t0.5", "20\t0.125"]
    assert grave(page) == []
    # Drawn anew, as while a job runs, with more steps than a table should have.
    page.evaluate(
        """async () => {
          const { drawCurves } = await import("/static/studio.js");
          const box = document.querySelector("details[data-kind=wer]").closest(".figures");
          await drawCurves(box, { "a wer": [...Array(1000).keys()].map((step) => [step, 2 * step]) });
        }"""
    )
    rows = page.locator("details[open] tr").all_inner_texts()
    assert rows[:3] == ["step\ta", "0\t0", "25\t50"]
    assert (rows[-1], len(rows)) == ("999\t1998", 42)
    assert has_focus(page, "summary")


# --- for everybody --------------------------------------------------------------------------------


def grave(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds on a page of impact serious or critical: the rule, and the element."""
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    assert {one["impact"] for one in violations} <= {"minor", "moderate", "serious", "critical"}
    return [
        (one["id"], node["html"])
        for one in violations
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def tab_to(page: Any, name: str) -> None:
    """Go on by the Tab key until the element with this name has the focus, which is always seen."""
    passed = []
    for _ in range(150):
        page.keyboard.press("Tab")
        found, shown = page.evaluate(FOCUSED)
        assert shown, found
        if found == name:
            return
        passed.append(found)
    raise AssertionError(f"no {name} among {passed}")


# The name of what has the focus, and whether it has an outline; the buttons in a player have their own.
FOCUSED = """(() => {
  const one = document.activeElement;
  const text = one.ariaLabel ?? one.labels?.[0]?.innerText ?? one.innerText;
  const outlined = getComputedStyle(one).outlineStyle !== "none";
  return [text.split("\\n")[0], outlined || one.matches("audio, body")];
})()"""


def has_focus(page: Any, selector: str) -> bool:
    return bool(page.evaluate(f"document.activeElement.matches({selector!r})"))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave(page: Any, server: Server, scheme: str) -> None:
    from likeness.studio.pages import PAGES

    page.emulate_media(color_scheme=scheme)
    for name in PAGES:
        open_page(page, f"{server.url}/{name}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        assert grave(page) == [], name
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'data:,'}))")
    assert [rule for rule, _ in grave(page)] == ["image-alt"]  # so it does look


@pytest.mark.slow
def test_a_blind_test_is_taken_by_keys_alone(page: Any, server: Server, repository: Path) -> None:
    open_page(page, f"{server.url}/tests")
    before = {*(repository / "data/ratings").iterdir()}
    tab_to(page, "your name")
    page.keyboard.type("kay")
    tab_to(page, "question")
    page.keyboard.press("ArrowDown")
    tab_to(page, "items")
    page.keyboard.type("2")  # in place of what was there, as the Tab key selects it
    page.keyboard.press("Enter")
    for number in (1, 2):
        page.wait_for_selector(f"text={number} of 2.")
        assert has_focus(page, "h2")
        assert grave(page) == []
        page.keyboard.press("b")
        while not page.evaluate("document.querySelectorAll('audio')[1].currentTime > 0"):
            page.wait_for_timeout(50)
        page.keyboard.press("3")
    page.wait_for_selector("text=Figures of kay")
    assert has_focus(page, "h2")
    (folder,) = {*(repository / "data/ratings").iterdir()} - before
    rows = [json.loads(line) for line in (folder / "kay.jsonl").read_text().splitlines()]
    shutil.rmtree(folder)
    assert [(row["trial"], row["answer"]) for row in rows] == [(1, "tie"), (2, "tie")]
    tab_to(page, "All tests")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Begin a test")
    assert has_focus(page, "h2")


@pytest.mark.slow
def test_a_clip_is_corrected_by_keys_alone(page: Any, server: Server, repository: Path) -> None:
    open_page(page, f"{server.url}/clips")
    file = repository / "data/corrections.jsonl"
    tab_to(page, "text of 04_care-0001")
    page.keyboard.press("Control+A")
    page.keyboard.type("Wash it cold.")
    tab_to(page, "verdict on 04_care-0001")
    page.wait_for_selector("text=04_care-0001: written to data/corrections.jsonl")
    page.keyboard.press("ArrowDown")
    while '"verdict": "keep"' not in file.read_text():
        page.wait_for_timeout(50)
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    assert (row["id"], row["text"], row["verdict"]) == ("04_care-0001", "Wash it cold.", "keep")
    assert has_focus(page, "select[aria-label='verdict on 04_care-0001']")


@pytest.mark.slow
def test_a_verdict_leaves_a_text_that_the_last_run_has_applied(page: Any, server: Server) -> None:
    clip = {
        "id": "a-0001", "accepted": True, "url": "/none.wav", "start": 0, "end": 1, "heard": "Wash cold.",
        "text": "Wash it cold.", "correction": {"text": "Wash it cold.", "verdict": None},
        "dnsmos": 3.0, "snr_db": 30.0,
    }  # fmt: skip
    sent: list[Any] = []

    def take(route: Any) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(json=clip)

    page.route("**/api/clips?*", lambda route: route.fulfill(json={"total": 1, "clips": [clip]}))
    page.route("**/api/clips/a-0001", take)
    open_page(page, f"{server.url}/clips")
    page.get_by_label("verdict on a-0001").select_option("keep")
    page.wait_for_selector("text=a-0001: written to data/corrections.jsonl")
    assert sent == [{"text": "Wash it cold.", "verdict": "keep"}]


@pytest.mark.slow
def test_a_form_shows_the_command_that_its_button_runs(page: Any, server: Server) -> None:
    """A shell reads the value that was typed, and a frozen stage with an override is unfrozen."""
    open_page(page, f"{server.url}/voice")
    page.get_by_text("All params").click()
    page.get_by_label("voice_download.format").fill("worst'audio")
    page.get_by_label("name of the experiment").fill("odd")
    shown = page.locator("form code").inner_text()
    assert shown.startswith("dvc unfreeze voice_download && dvc exp run -n odd -S ")
    assert """voice_download.format="worst'audio\"""" in shlex.split(shown)


@pytest.mark.slow
def test_a_running_job_takes_no_focus_away(page: Any, server: Server) -> None:
    """Its card stays while events come; a button that goes gives the focus to one that stays."""
    with server.client() as client:
        client.post("/api/jobs", json={"targets": ["voice_train"], "name": "focus"})
    open_page(page, f"{server.url}/jobs")
    card = page.wait_for_selector("article[aria-label=focus]")
    page.get_by_role("button", name="Log focus").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Log of focus")
    assert has_focus(page, "h2")
    page.get_by_role("button", name="Stop focus").focus()
    page.wait_for_selector("article[aria-label=focus] .state-done", timeout=120_000)
    assert card.evaluate("(one) => one.isConnected")
    assert has_focus(page, "[aria-label='Log focus']")
    assert grave(page) == []
