// Real and synthetic photos beside each other, and images on demand.

import { el, field, get, inputForm, jobForm, number, post, select, setParam, tabs } from "/static/studio.js";

const ATTRIBUTES = ["baseColour", "gender", "season", "usage", "year"];
const SHOWN = 12;

export async function show(main) {
  const [catalogue, form, make] = await Promise.all([dataset(), generator(), jobForm({
    title: "Make a synthetic dataset",
    button: "Draw",
    targets: ["image_generate"],
    keys: ["inputs.catalog", "image_analyze.article_type", "image_generate.count", "image_generate.guidance", "image_generate.steps",
      "image_generate.sampler", "image_generate.negative_prompt"],
    sections: ["image_analyze", "image_prepare", "image_train", "image_generate"],
  })]);
  const upload = inputForm({
    title: "Add a catalogue",
    hint: "A ZIP archive with styles.csv and images/, as Kaggle's Fashion Product Images has them. It becomes a folder under data/raw/.",
    accept: ".zip",
    multiple: false,
    made: ({ param, name }) => setParam(make, param, name),
  });
  main.append(catalogue, await comparison(), form, upload, make);
}

async function dataset() {
  const { datasets } = await get("/api/datasets");
  const found = datasets.find((one) => one.id === "image_prepare");
  if (!found) return el("p", {}, "There is no dataset of images yet.");
  const list = (values) => Object.entries(values).map(([name, n]) => `${name} ${n}`).join(", ") || "none";
  return el("section", { class: "card" },
    el("h2", {}, "The dataset in the workspace"),
    el("p", {}, `${found.rows} photos: ${list(found.splits)}. Set aside: ${list(found.rejected)}. `,
      el("a", { href: found.url }, "manifest.jsonl")));
}

async function comparison() {
  const body = el("div");
  let attribute = ATTRIBUTES[0];
  const chosen = select([], null, { onchange: () => fill(chosen.value || null) });
  async function fill(value) {
    const query = `attribute=${attribute}&limit=${SHOWN}${value === null ? "" : `&value=${encodeURIComponent(value)}`}`;
    const [real, synthetic] = await Promise.all(["real", "synthetic"].map((kind) =>
      get(`/api/images?kind=${kind}&${query}`)));
    const values = Object.keys({ ...real.counts, ...synthetic.counts });
    const total = { real: sum(real.counts), synthetic: sum(synthetic.counts) };
    chosen.replaceChildren(...["", ...values].map((one) =>
      el("option", { value: one, selected: one === (value ?? "") }, one || "all")));
    const share = (found, of, name) => {
      const n = found.counts[name] ?? 0;
      return [el("progress", { value: n, max: of || 1, "aria-label": `${name}: ${n} of ${of}` }), el("small", {}, `${n}`)];
    };
    body.replaceChildren(
      el("div", { class: "pair" },
        side(`Real photos (${real.total})`, real),
        side(`Synthetic images (${synthetic.total})`, synthetic)),
      el("details", {}, el("summary", {}, "Distribution"), el("div", { class: "pair" },
        ...[["real", real], ["synthetic", synthetic]].map(([name, found]) => el("div", { class: "bars" },
          values.flatMap((one) => [el("span", {}, one), ...share(found, total[name], one)]))))));
  }
  await fill(null);
  return el("section", { class: "card" },
    el("h2", {}, "Real and synthetic, by attribute"),
    tabs("Attribute", ATTRIBUTES, attribute, (one) => { attribute = one; return fill(null); }),
    el("div", { class: "row" }, field("value", chosen)),
    body);
}

function sum(counts) {
  return Object.values(counts).reduce((a, b) => a + b, 0);
}

function side(title, { images }) {
  return el("div", {}, el("h2", {}, title), el("div", { class: "images" }, images.map(({ url, row }) => {
    const text = row.prompt ?? row.caption;
    const more = row.seed === undefined ? row.split : `seed ${row.seed}`;
    return el("figure", {}, el("img", { src: url, alt: text, loading: "lazy", title: text }),
      el("figcaption", {}, `${row.id} · ${more}`));
  })));
}

async function generator() {
  const { data } = await get("/v1/models");
  const names = data.filter((one) => one.kind === "images").map((one) => one.id);
  const model = select(names, names.find((name) => name.endsWith("+image_train")) ?? names[0]);
  const prompt = el("textarea", { rows: 2, required: true });
  prompt.value = "A professional product photo of Black Casual Shoes, Summer collection, Men, centered on white background";
  const negative = el("input");
  const seeds = el("input", { value: "1 2 3 4", pattern: "[0-9 ]+", required: true });
  const guidance = el("input", { type: "number", min: 0, max: 50, step: "any", placeholder: "as in params.yaml" });
  const steps = el("input", { type: "number", min: 1, max: 100, placeholder: "as in params.yaml" });
  const drawn = el("div", { class: "images" });
  const optional = (input) => (input.value === "" ? null : Number(input.value));
  return el("form", {
    class: "card",
    onsubmit: async () => {
      const { data: images } = await post("/v1/images/generations", {
        model: model.value, prompt: prompt.value, seeds: seeds.value.split(" ").filter(Boolean).map(Number),
        negative_prompt: negative.value || null, guidance: optional(guidance), steps: optional(steps),
      });
      drawn.prepend(...images.map(({ b64_json: data64, record }) => el("figure", {},
        el("img", { src: `data:image/png;base64,${data64}`, alt: record.prompt }),
        el("figcaption", {}, `${record.model} · seed ${record.seed} · ${record.steps} steps · guidance ${number(record.guidance)}`),
        el("details", {}, el("summary", {}, "record"), el("pre", { tabindex: "0" }, JSON.stringify(record, null, 1))))));
    },
  },
    el("h2", {}, "Draw on demand"),
    el("div", { class: "fields" }, field("model", model), field("prompt", prompt), field("negative prompt", negative),
      field("seeds", seeds, "one image for each, separated by blanks"), field("guidance", guidance), field("steps", steps)),
    el("button", {}, "Draw"), drawn);
}
