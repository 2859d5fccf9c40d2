// Experiments beside each other: the params that differ, the figures that were asked for, the curves.

import { drawCurves, el, field, get, number, select, table } from "/static/studio.js";

const FIRST = [
  "voice_evaluate.tuned_wer", "voice_evaluate.tuned_similarity", "voice_evaluate.tuned_dnsmos",
  "image_evaluate.tuned_frechet", "image_evaluate.tuned_precision", "image_evaluate.tuned_recall",
];

export async function show(main) {
  const waiting = el("p", { class: "quiet" }, "Experiments are being read…");
  main.append(waiting);
  const { experiments } = await get("/api/experiments");
  const names = [...new Set(experiments.flatMap((one) => Object.keys(one.metrics)))].sort();
  const filter = el("input", { placeholder: "a part of its name", oninput: () => fill() });
  const box = el("div");
  const curves = el("div", { class: "figures" });
  const stages = select(["voice_train", "image_train"], "voice_train", { onchange: () => draw() });
  function fill() {
    const usual = FIRST.filter((name) => names.includes(name));
    const found = filter.value ? names.filter((name) => name.includes(filter.value))
      : usual.length ? usual : names.slice(0, FIRST.length);
    const params = Object.keys(experiments[0]?.params ?? {});
    const columns = ["experiment", "state", ...[...params, ...found].map((name) => name.replace(".", ". "))];
    box.replaceChildren(table(columns, experiments.map((one) => [
      one.name, one.state,
      ...params.map((name) => JSON.stringify(one.params[name] ?? null)),
      ...found.map((name) => figure(one, name)),
    ])));
  }
  async function draw() {
    const rows = experiments.filter((one) => one.id !== "workspace").slice(0, 5);
    const found = await Promise.all(rows.map((one) => get(`/api/experiments/${one.id}/curves`)));
    const series = found.flatMap(({ curves: all }, at) =>
      Object.entries(all[stages.value] ?? {}).map(([name, points]) => [`${rows[at].name} ${name}`, points]));
    await drawCurves(curves, Object.fromEntries(series));
    if (!curves.children.length) curves.append(el("p", { class: "quiet" }, "None of these has curves of this stage."));
  }
  waiting.remove();
  main.append(
    el("div", { class: "row" }, field("figures", filter)), box,
    el("section", { class: "card" }, el("h2", {}, "Curves"), el("div", { class: "row" }, field("stage", stages)), curves));
  fill();
  await draw();
}

function figure(experiment, name) {
  const value = experiment.metrics[name];
  const estimate = experiment.intervals?.[name];
  if (!estimate) return number(value);
  return el("span", {}, number(value), " ",
    el("small", {}, `${number(estimate.low)} to ${number(estimate.high)}, n ${estimate.n}`));
}
