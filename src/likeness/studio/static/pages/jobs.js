// The queue, and one job with its log and curves while it runs.

import { ask, drawCurves, el, get, listen, post, say, shortened } from "/static/studio.js";

const LETTERS_KEPT = 400_000; // of a log that is shown

export async function show(main) {
  const none = el("p", {}, "No job yet. The other pages put them into the queue.");
  const list = el("div", {}, none);
  const detail = el("section", { class: "card", hidden: true, "aria-label": "Log" });
  main.append(el("div", { class: "columns" }, list, detail));
  const cards = new Map(); // by id; they stay, so that an event takes no click and no focus away
  let open = new URLSearchParams(location.search).get("id");
  let log = null;
  let jobs = [];
  const choose = async (id) => {
    open = id;
    history.replaceState(null, "", `?id=${id}`);
    log = null;
    const shown = update({ jobs });
    detail.querySelector("h2")?.focus();
    await shown;
  };
  async function update(now) {
    jobs = now.jobs;
    none.hidden = jobs.length > 0;
    const waiting = jobs.filter((job) => job.state === "queued").map((job) => job.id);
    for (const job of jobs) {
      if (!cards.has(job.id)) cards.set(job.id, new Card(job, choose));
      cards.get(job.id).update(job, waiting);
    }
    sort(list, [none, ...[...jobs].reverse().map((job) => cards.get(job.id).element)]);
    const job = jobs.find((one) => one.id === open);
    detail.hidden = !job;
    if (!job) return;
    log ??= new Log(job.id, detail);
    await log.update(job);
  }
  await new Promise((told) => { listen((now) => { told(); return update(now); }); });
}

/** Gives a box these children in this order; what is in its place is not touched. */
function sort(box, children) {
  const focused = document.activeElement;
  children.forEach((child, at) => {
    if (box.children[at] !== child) box.insertBefore(child, box.children[at] ?? null);
  });
  if (focused !== document.activeElement) focused.focus(); // it was moved
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text; // else a selection would be lost
}

class Card {
  constructor(job, choose) {
    const button = (text, onclick) =>
      el("button", { type: "button", onclick, "aria-label": `${text} ${job.id}` }, text);
    const act = (action, body = () => ({})) => () => post(`/api/jobs/${job.id}/${action}`, body());
    this.place = 0;
    this.state = el("span");
    this.reason = el("p", { class: "error" });
    this.what = el("span");
    this.progress = el("progress", { "aria-label": `progress of ${job.id}` });
    this.bar = el("p", {}, this.what, this.progress);
    this.log = button("Log", () => choose(job.id));
    this.stop = button("Stop", act("stop"));
    this.resume = button("Go on", act("resume"));
    this.apply = button("Apply", async () => {
      await act("apply")();
      say(`${job.id} is in the workspace, as dvc exp apply ${job.id} brings it there`);
    });
    this.earlier = button("Earlier", act("move", () => ({ place: this.place - 1 })));
    this.later = button("Later", act("move", () => ({ place: this.place + 1 })));
    this.element = el("article", { class: "card", "aria-label": job.id },
      el("h2", {}, job.id, " ", this.state), this.reason, this.bar,
      el("p", {}, el("code", {}, job.command)),
      el("p", { class: "quiet" }, `submitted ${job.submitted.slice(0, 19).replace("T", " ")} UTC, commit ${job.commit.slice(0, 7)}`,
        job.carried.length ? `; part of it, though not committed: ${job.carried.join(", ")}` : "",
        job.uncommitted.length ? `; not part of it: ${shortened(job.uncommitted)}` : ""),
      el("div", { class: "row" }, this.log, this.stop, this.resume, this.apply, this.earlier, this.later));
  }

  /** @param {string[]} waiting the ids of the queue. */
  update(job, waiting) {
    const focused = document.activeElement;
    this.place = waiting.indexOf(job.id) + 1;
    write(this.state, job.state);
    this.state.className = `state state-${job.state}`;
    write(this.reason, job.reason);
    this.reason.hidden = !job.reason;
    const bar = job.progress;
    this.bar.hidden = !bar;
    if (bar) {
      write(this.what, `${bar.stage} ${bar.what} ${bar.done} of ${bar.total}`);
      this.progress.max = bar.total;
      this.progress.value = bar.done;
    }
    this.stop.hidden = !["queued", "running"].includes(job.state);
    this.resume.hidden = !["failed", "stopped"].includes(job.state);
    this.apply.hidden = job.state !== "done";
    this.earlier.hidden = this.place < 2;
    this.later.hidden = !this.place || this.place === waiting.length;
    if (focused.hidden && this.element.contains(focused)) this.log.focus();
  }
}

class Log {
  constructor(id, box) {
    this.id = id;
    this.at = 0;
    this.line = new Text(); // the last one, which is not finished
    this.letters = 0; // of the lines before it
    this.text = el("pre", { tabindex: "0", role: "log", "aria-live": "off", "aria-label": `log of ${id}` }, this.line);
    this.curves = el("div", { class: "figures" });
    this.decoder = new TextDecoder();
    this.busy = Promise.resolve();
    this.drawn = 0; // when
    this.state = ""; // of the job at that time
    box.replaceChildren(el("h2", { tabindex: "-1" }, `Log of ${id}`), this.text, this.curves);
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
    const waited = job.state === "running" && Date.now() - this.drawn > 5000;
    if (waited || job.state !== this.state) {
      this.drawn = Date.now();
      this.state = job.state;
      const { curves } = await get(`/api/jobs/${this.id}/curves`);
      const series = Object.entries(curves).flatMap(([stage, figures]) =>
        Object.entries(figures).map(([name, rows]) => [`${stage} ${name}`, rows]));
      await drawCurves(this.curves, Object.fromEntries(series));
    }
  }

  /** Appends text as a terminal would show it: a line that is drawn anew takes the place of itself. */
  add(text) {
    const atEnd = this.text.scrollTop + this.text.clientHeight >= this.text.scrollHeight - 20;
    const lines = (this.line.data + text).split("\n")
      .map((line) => line.slice(line.lastIndexOf("\r", line.length - 2) + 1));
    this.line.data = lines.pop();
    if (lines.length) {
      const added = new Text(`${lines.join("\n")}\n`.slice(-LETTERS_KEPT));
      this.line.before(added);
      this.letters += added.length;
    }
    while (this.letters > LETTERS_KEPT) { // the oldest lines go
      this.letters -= this.text.firstChild.length;
      this.text.firstChild.remove();
    }
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
  }
}
