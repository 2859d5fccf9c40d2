// A training in three columns: its checkpoints, what each has said or drawn, and a place to try them.

import { ask, drawCurves, el, field, get, jobForm, number, player, post, say, select, tabs, uploadForm } from "/static/studio.js";

const LANES = { voice: "voice_train", image: "image_train" };
const KEYS = {
  voice: ["inputs.recordings", "voice_train.epochs", "voice_train.rank", "voice_train.learning_rate",
    "voice_train.decoder_learning_rate", "voice_train.batch"],
  image: ["inputs.catalog", "image_train.epochs", "image_train.rank", "image_train.learning_rate", "image_train.batch",
    "image_train.text_encoder"],
};

export async function show(main) {
  const body = el("div");
  const choose = async (lane) => {
    history.replaceState(null, "", `?lane=${lane}`);
    body.replaceChildren(...await lanePage(lane));
  };
  const asked = new URLSearchParams(location.search).get("lane");
  const first = asked in LANES ? asked : "voice";
  main.append(tabs("Lane", Object.keys(LANES), first, choose), body);
  await choose(first);
}

async function lanePage(lane) {
  const [{ checkpoints }, form] = await Promise.all([
    get("/api/checkpoints"),
    jobForm({
      title: "Train anew",
      button: "Train",
      targets: [LANES[lane]],
      keys: KEYS[lane],
      sections: [LANES[lane]],
    }),
  ]);
  const rows = checkpoints.filter((one) => one.lane === lane);
  if (!rows.length) return [el("p", {}, "Nothing has been trained in the workspace yet."), form];
  const samples = el("section", { class: "card" });
  const body = el("tbody");
  const figures = Object.keys(rows[0].metrics);
  const choose = async (row) => {
    for (const each of body.children) {
      each.classList.toggle("chosen", each.dataset.id === row.id);
      each.querySelector("button").setAttribute("aria-pressed", String(each.dataset.id === row.id));
    }
    samples.replaceChildren(el("h2", {}, `Samples of ${row.id}`), ...await samplesOf(lane, row));
  };
  for (const row of rows) {
    const button = el("button", { type: "button", onclick: () => choose(row) }, row.id.split("-")[1]);
    body.append(el("tr", { "data-id": row.id },
      el("td", {}, button, row.best ? " best" : ""),
      el("td", {}, row.bytes ? `${number(row.bytes / 1e6)} MB` : "–"),
      figures.map((name) => el("td", {}, number(row.metrics[name])))));
  }
  const unit = lane === "voice" ? "epoch" : "step";
  const curves = el("div", { class: "figures" });
  drawCurves(curves, Object.fromEntries(figures.map((name) =>
    [name, rows.map((row) => [row[unit], row.metrics[name]])])));
  const columns = el("div", { class: "columns" },
    el("section", { class: "card" }, el("h2", {}, "Checkpoints"),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Checkpoints" },
        el("table", {},
          el("thead", {}, el("tr", {}, [unit, "size", ...figures].map((one) => el("th", { scope: "col" }, one)))),
          body)),
      curves),
    samples,
    lane === "voice" ? tryVoice(rows) : tryImages(rows));
  await choose(rows.find((row) => row.best) ?? rows.at(-1));
  return [columns, form];
}

async function samplesOf(lane, row) {
  const { samples } = await get(`/api/checkpoints/${row.id}`);
  if (lane === "image") return samples.map((one) => el("img", { src: one.url, alt: `samples of ${row.id}` }));
  return samples.map((one) => el("figure", {},
    el("figcaption", {}, one.text ?? `sentence ${one.number + 1}`),
    player(one.url, `sentence ${one.number + 1} of ${row.id}`),
    one.heard === undefined ? null : el("small", {}, `heard: ${one.heard}`)));
}

/** The base, and each adapter that is kept, by a name for people. */
function models(rows) {
  const kept = rows.filter((row) => row.model);
  const base = kept[0]?.model.split("+")[0];
  return new Map([
    ...(base ? [["base", base]] : []),
    ...kept.map((row) => [row.best ? `${row.id}, best` : row.id, row.model]),
  ]);
}

/**
 * A form that makes something of a text, by one adapter or by the base and one beside each other.
 *
 * @param {object} choice `label` and `value` of the text, `verb` of the button, `fields` besides (called
 *   with a function that gives the chosen model), and `make`, which returns what is shown of a request.
 */
function tryForm(rows, { label, value, verb, fields, make }) {
  const named = models(rows);
  const names = [...named.keys()];
  const text = el("textarea", { rows: 3, required: true });
  text.value = value;
  const adapter = select(names, names.find((name) => name.endsWith("best")));
  const seed = el("input", { type: "number", value: 7, min: 0 });
  const made = el("div");
  const one = (name) => make({ name, model: named.get(name), text: text.value, seed: Number(seed.value) });
  return el("form", { class: "card", onsubmit: async () => made.prepend(await one(adapter.value)) },
    el("h2", {}, "Try it"),
    field(label, text),
    el("div", { class: "row" }, field("adapter", adapter), fields(() => named.get(adapter.value)), field("seed", seed)),
    el("button", {}, verb), " ",
    el("button", {
      type: "button",
      onclick: async () => {
        const pair = [await one("base"), await one(adapter.value)];
        made.prepend(el("div", { class: "pair" }, pair));
      },
    }, "Base against this one"),
    made);
}

function tryVoice(rows) {
  const voice = el("input", { value: "voice", list: "voices", onfocus: () => suggest() });
  const suggestions = el("datalist", { id: "voices" });
  let chosen = null; // a function that gives the chosen model
  const suggest = async () => {
    if (suggestions.children.length) return;
    const { voices } = await get("/v1/audio/voices");
    const known = voices.find((one) => one.model === chosen());
    suggestions.append(...(known?.voices ?? []).map((one) => el("option", { value: one })));
  };
  const form = tryForm(rows, {
    label: "text",
    value: "The black shoes are light.",
    verb: "Speak",
    fields: (model) => {
      chosen = model;
      return [field("voice", voice), suggestions];
    },
    make: async ({ name, model, text, seed }) => {
      const answer = await ask("/v1/audio/speech", {
        model, input: text, voice: voice.value, response_format: "wav", seed,
      });
      const url = URL.createObjectURL(await answer.blob());
      const seconds = answer.headers.get("X-Likeness-Seconds");
      return el("figure", {}, el("figcaption", {}, `${name}, seed ${seed}, ${seconds} s: ${text}`),
        player(url, `${name}: ${text}`));
    },
  });
  const newVoice = uploadForm({
    title: "Make a voice",
    hint: "Recordings of one person who has agreed to it, with at least 3 seconds of speech; the first 30 are used.",
    accept: "audio/*,video/*",
    multiple: true,
    path: "/v1/audio/voices",
    made: ({ name, seconds }) => {
      voice.value = name;
      suggestions.replaceChildren(); // they are asked for anew
      made.open = false;
      return `${name}, of ${seconds} seconds of speech, is the voice above.`;
    },
  });
  const made = madeVoices((name) => {
    if (voice.value === name) voice.value = "voice";
    suggestions.replaceChildren();
  });
  return el("div", {}, form, newVoice, made);
}

/** The voices that were made here, listed when it is opened; `deleted` is called with a name. */
function madeVoices(deleted) {
  const list = el("ul");
  const summary = el("summary", {}, "Voices made here");
  const fill = async () => {
    const { made } = await get("/v1/audio/voices");
    list.replaceChildren(...made.map((name) => el("li", { class: "row" }, name,
      el("button", { type: "button", "aria-label": `Delete ${name}`, onclick: () => remove(name) }, "Delete"))));
    if (!made.length) list.append(el("li", {}, "none"));
  };
  const remove = async (name) => {
    if (!confirm(`Delete the voice ${name}? It cannot be brought back.`)) return;
    await post(`/v1/audio/voices/${name}/delete`);
    deleted(name);
    await fill();
    summary.focus(); // the button is gone
    say(`${name} is deleted`);
  };
  const box = el("details", { class: "card", ontoggle: () => (box.open ? fill() : null) }, summary, list);
  return box;
}

function tryImages(rows) {
  return tryForm(rows, {
    label: "prompt",
    value: "A professional product photo of Black Casual Shoes, centered on white background",
    verb: "Draw",
    fields: () => [],
    make: async ({ name, model, text, seed }) => {
      const { data } = await post("/v1/images/generations", { model, prompt: text, seeds: [seed] });
      return el("figure", {},
        el("img", { src: `data:image/png;base64,${data[0].b64_json}`, alt: `${name}: ${text}` }),
        el("figcaption", {}, `${name}, seed ${seed}`));
    },
  });
}
