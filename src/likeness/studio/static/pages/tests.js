// Blind tests: begin one, take it by number keys, and see the figures when it is finished.

import { el, field, get, number, player, post, refill, select, table } from "/static/studio.js";

const KINDS = {
  "real_or_synthetic": "Real or synthetic?",
  "preference": "Which one is better?",
  "opinion": "How good does this sound?",
  "classes": "What is wrong with this image?",
};
const OF_LANE = {
  voice: ["real_or_synthetic", "preference", "opinion"],
  image: ["real_or_synthetic", "preference", "classes"],
};
const KEPT = "likeness-rater";

export async function show(main) {
  const body = el("div");
  main.append(body);
  await overview(body);
}

async function overview(body) {
  document.onkeydown = null;
  const { tests } = await get("/api/tests");
  const rater = el("input", {
    required: true, pattern: "[a-z0-9][a-z0-9_\\-]{0,31}", value: localStorage.getItem(KEPT) ?? "",
    oninput: () => localStorage.setItem(KEPT, rater.value),
  });
  const lane = select(Object.keys(OF_LANE), "voice", { onchange: () => fill() });
  const kind = el("select");
  const fill = () => kind.replaceChildren(...OF_LANE[lane.value].map((one) => el("option", { value: one }, KINDS[one])));
  fill();
  const count = el("input", { type: "number", min: 1, max: 1000, value: 12, required: true });
  const seed = el("input", { type: "number", min: 0, placeholder: "random" });
  const form = el("form", {
    class: "card",
    onsubmit: async () => take(body, await post("/api/tests", {
      kind: kind.value, lane: lane.value, n: Number(count.value), rater: rater.value,
      seed: seed.value === "" ? null : Number(seed.value),
    })),
  },
    el("h2", {}, "Begin a test"),
    el("div", { class: "fields" },
      field("your name", rater, "small letters and digits; a pseudonym will do, as it is kept in git"),
      field("lane", lane), field("question", kind),
      field("items", count, "a multiple of 2, and of 3 for how good speech sounds"),
      field("seed", seed, "of items and order")),
    el("button", {}, "Begin"));
  const goOn = (test) => async () => {
    if (!rater.reportValidity()) return;
    await take(body, await get(`/api/tests/${test.id}/next?rater=${rater.value}`));
  };
  const rows = tests.map((test) => [
    test.id, test.lane, KINDS[test.kind], String(test.n),
    test.raters.map((one) => `${one.rater} ${one.answered}`).join(", ") || "nobody yet",
    el("button", { type: "button", onclick: goOn(test) }, "Take it, or see its figures"),
  ]);
  refill(body, form, tests.length
    ? table(["test", "lane", "question", "items", "answered by", "go on"], rows, true)
    : el("p", {}, "No test was begun yet. Answers are files under data/ratings/, which voice_rate and image_rate read: commit them."));
}

async function take(body, state) {
  if (state.trial === null) {
    await result(body, state);
    return;
  }
  const { trial } = state;
  const answer = (choice) => async () => {
    document.onkeydown = null; // an answer is final, so a second key must wait for the next trial
    try {
      await take(body, await post(`/api/tests/${state.test}/trials/${trial.number}`, { rater: state.rater, answer: choice }));
    } catch (error) {
      document.onkeydown = onkey;
      throw error;
    }
  };
  const media = trial.sides.map((one) => {
    const name = trial.sides.length > 1 ? one.side.toUpperCase() : "";
    return el("figure", {}, name ? el("h2", {}, name) : null, state.lane === "voice"
      ? player(one.url, name || "the clip")
      : el("img", { src: one.url, alt: name || "the image" }));
  });
  const buttons = trial.choices.map(({ answer: choice, label }, at) =>
    el("button", { type: "button", onclick: answer(choice) }, `${at + 1} · ${label}`));
  refill(body, el("section", { class: "card" },
    el("h2", {}, KINDS[state.kind]),
    el("progress", { value: state.answered, max: state.n, "aria-label": "answered" }),
    el("p", { class: "quiet" }, `${trial.number} of ${state.n}. Press a number key, or choose.`,
      state.lane === "voice" ? ` ${trial.sides.length > 1 ? "A and B play" : "A plays"} what is to be judged.` : ""),
    trial.text ? el("p", {}, trial.text) : null,
    el("div", { class: trial.sides.length > 1 ? "pair" : "single" }, media),
    el("div", { class: "row" }, buttons)));
  const players = [...body.querySelectorAll("audio")];
  const onkey = (event) => {
    const typing = event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey;
    if (typing || event.repeat) return;
    buttons[Number(event.key) - 1]?.click();
    const played = players["ab".indexOf(event.key.toLowerCase())];
    for (const one of played ? players : []) one.pause();
    played?.play().catch(() => {}); // it was paused before it began
  };
  document.onkeydown = onkey;
}

async function result(body, { test, rater }) {
  const found = await get(`/api/tests/${test}/result?rater=${rater}`);
  const names = Object.keys(found.figures).filter((name) => !/_(low|high)$/.test(name));
  const rows = names.map((name) => {
    const [low, high] = ["low", "high"].map((end) => found.figures[`${name}_${end}`]);
    const interval = low === undefined || low === null ? "" : `${number(low)} to ${number(high)}`;
    return [name.replace(`${found.kind}_`, ""), number(found.figures[name]), interval];
  });
  const sides = (trial) => trial.sides.map((one) => el("a", { href: one.url }, one.version)).flatMap((one) => [one, " "]);
  refill(body,
    el("section", { class: "card" },
      el("h2", {}, `${KINDS[found.kind]} Figures of ${found.raters.join(", ")}`),
      table(["figure", "value", "95 % interval"], rows),
      el("button", { type: "button", onclick: () => overview(body) }, "All tests")),
    el("details", { class: "card" }, el("summary", {}, `Your answers, ${rater}`),
      table(["trial", "item", "was", "answer"], found.trials.map((trial) =>
        [String(trial.number), trial.text || trial.item, el("span", {}, sides(trial)), trial.answer]))));
}
