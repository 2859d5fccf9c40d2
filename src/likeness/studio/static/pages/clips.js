// The clips: listen, correct the text, set one aside or take one back.

import { el, get, number, player, post, say, select, table } from "/static/studio.js";

const PAGE = 25;
const SHOWN = { "all": "", "kept": "&accepted=true", "set aside": "&accepted=false" };
const VERDICTS = { "as measured": null, "keep": "keep", "set aside": "set_aside" };

export async function show(main) {
  let shown = "all";
  let offset = 0;
  const list = el("div");
  const place = el("span", { class: "quiet" });
  const back = el("button", { type: "button", onclick: () => turn(-PAGE) }, "Back");
  const on = el("button", { type: "button", onclick: () => turn(PAGE) }, "Next");
  const choice = select(Object.keys(SHOWN), shown, {
    "aria-label": "Which clips",
    onchange: () => { shown = choice.value; offset = 0; return fill(); },
  });
  const turn = (by) => { offset += by; return fill(); };
  async function fill() {
    const { total, clips } = await get(`/api/clips?offset=${offset}&limit=${PAGE}${SHOWN[shown]}`);
    place.textContent = total ? `${offset + 1} to ${offset + clips.length} of ${total}` : "none";
    const focused = document.activeElement;
    back.disabled = offset === 0;
    on.disabled = offset + PAGE >= total;
    if (focused.disabled) (on.disabled ? back : on).focus();
    list.replaceChildren(table(["clip", "listen", "text", "measured", "verdict"], clips.map(row), true));
  }
  main.append(
    el("p", {}, "Corrections are lines of data/corrections.jsonl, which voice_clips reads: commit them, " +
      "and build the dataset anew."),
    el("div", { class: "row" }, choice, back, on, place), list);
  await fill();
}

function row(clip) {
  const text = el("textarea", { rows: 2, "aria-label": `text of ${clip.id}` });
  text.value = clip.correction?.text ?? clip.heard; // what the next run of voice_clips takes
  const verdicts = Object.keys(VERDICTS);
  const said = verdicts.find((name) => VERDICTS[name] === (clip.correction?.verdict ?? null));
  const verdict = select(verdicts, said, { "aria-label": `verdict on ${clip.id}`, onchange: () => save() });
  text.addEventListener("change", () => save().catch((error) => say(error.message, true)));
  async function save() {
    // The text as it was heard is no correction, and withdraws one.
    await post(`/api/clips/${clip.id}`, { text: text.value, verdict: VERDICTS[verdict.value] });
    say(`${clip.id}: written to data/corrections.jsonl`);
  }
  const measured = clip.accepted
    ? `kept · ${number(clip.end - clip.start)} s · DNSMOS ${number(clip.dnsmos)} · SNR ${number(clip.snr_db)} dB`
    : el("span", {}, el("span", { class: "error" }, clip.reason),
      ` · ${clip.measure ?? "value"} ${number(clip.value)}, limit ${number(clip.limit)}`);
  return [clip.id, player(clip.url, clip.id), text, measured, verdict];
}
