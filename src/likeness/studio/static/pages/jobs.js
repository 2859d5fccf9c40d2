// The queue, and one job with its log and curves while it runs.

import { ask, drawCurves, el, get, listen, post } from "/static/studio.js";

const CHUNK_KEPT = 400_000; // letters of a log that are shown

export async function show(main) {
  const list = el("div");
  const detail = el("section", { class: "card", hidden: true, "aria-live": "off" });
  main.append(el("div", { class: "columns" }, list, detail));
  let open = new URLSearchParams(location.search).get("id");
  let log = null;
  const choose = (id) => {
    open = id;
    history.replaceState(null, "", `?id=${id}`);
    log = null;
    return update(state);
  };
  let state = null;
  async function update(now) {
    state = now;
    list.replaceChildren(...(now.jobs.length ? [...now.jobs].reverse().map((job) => card(job, now.jobs, choose))
      : [el("p", {}, "No job yet. The other pages put them into the queue.")]));
    const job = now.jobs.find((one) => one.id === open);
    detail.hidden = !job;
    if (!job) return;
    log ??= new Log(job.id, detail);
    await log.update(job);
  }
  listen(update);
}

function card(job, jobs, choose) {
  const waiting = jobs.filter((one) => one.state === "queued");
  const place = waiting.findIndex((one) => one.id === job.id) + 1;
  const act = (action, text, body) =>
    el("button", { type: "button", onclick: () => post(`/api/jobs/${job.id}/${action}`, body) }, text);
  const buttons = [el("button", { type: "button", onclick: () => choose(job.id) }, "Log")];
  if (["queued", "running"].includes(job.state)) buttons.push(act("stop", "Stop"));
  if (["failed", "stopped"].includes(job.state)) buttons.push(act("resume", "Go on"));
  if (place > 1) buttons.push(act("move", "Earlier", { place: place - 1 }));
  if (place && place < waiting.length) buttons.push(act("move", "Later", { place: place + 1 }));
  const bar = job.progress;
  return el("article", { class: "card", "aria-label": job.id },
    el("h2", {}, job.id, " ", el("span", { class: `state state-${job.state}` }, job.state)),
    job.reason ? el("p", { class: "error" }, job.reason) : null,
    bar ? el("p", {}, `${bar.stage} ${bar.what} ${bar.done} of ${bar.total}`,
      el("progress", { value: bar.done, max: bar.total, "aria-label": bar.stage })) : null,
    el("p", {}, el("code", {}, job.command)),
    el("p", { class: "quiet" }, `submitted ${job.submitted.slice(0, 19).replace("T", " ")} UTC, commit ${job.commit.slice(0, 7)}`,
      job.carried.length ? `; part of it, though not committed: ${job.carried.join(", ")}` : "",
      job.uncommitted.length ? `; not part of it: ${job.uncommitted.join(", ")}` : ""),
    el("div", { class: "row" }, buttons));
}

class Log {
  constructor(id, box) {
    this.id = id;
    this.at = 0;
    this.text = el("pre", { tabindex: "0", "aria-label": `log of ${id}` });
    this.curves = el("div", { class: "figures" });
    this.decoder = new TextDecoder();
    this.busy = Promise.resolve();
    this.drawn = 0;
    box.replaceChildren(el("h2", {}, `Log of ${id}`), this.text, this.curves);
  }

  update(job) {
    this.busy = this.busy.then(() => this.read(job)).catch(() => {});
    return this.busy;
  }

  async read(job) {
    while (this.at < job.log_bytes) {
      const answer = await ask(`/api/jobs/${this.id}/log?after=${this.at}`);
      this.add(this.decoder.decode(await answer.arrayBuffer(), { stream: true }));
      this.at = Number(answer.headers.get("X-Next"));
    }
    if (Date.now() - this.drawn > 5000 || job.state !== "running") {
      this.drawn = Date.now();
      const { curves } = await get(`/api/jobs/${this.id}/curves`);
      const series = Object.entries(curves).flatMap(([stage, figures]) =>
        Object.entries(figures).map(([name, rows]) => [`${stage} ${name}`, rows]));
      await drawCurves(this.curves, Object.fromEntries(series));
    }
  }

  /** Appends text as a terminal would show it: a line that is drawn anew takes the place of itself. */
  add(text) {
    const atEnd = this.text.scrollTop + this.text.clientHeight >= this.text.scrollHeight - 20;
    const shown = (this.text.textContent + text).replace(/[^\r\n]*\r(?=[^\n])/g, "");
    this.text.textContent = shown.slice(-CHUNK_KEPT);
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
  }
}
