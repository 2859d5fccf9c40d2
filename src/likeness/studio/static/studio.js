// What all pages share: the API, elements, the socket, and forms of params.

const PAGES = [
  ["voice", "Voice data"],
  ["clips", "Clips"],
  ["training", "Training"],
  ["images", "Images"],
  ["tests", "Blind tests"],
  ["compare", "Compare"],
  ["jobs", "Jobs"],
];
const FIRST = "voice";
const FROZEN = "voice_download"; // a stage that runs only with an override, which unfreezes it
const main = document.querySelector("main");

// --- the API -------------------------------------------------------------------------------------

/**
 * The answer to a request; an object is sent as JSON. Throws an Error with the studio's own line.
 * While a model is being loaded it waits and asks again.
 */
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  if (answer.status === 401) location.reload(); // the studio was started anew, with another token
  if (!answer.ok) {
    const found = await answer.json().catch(() => null);
    const soon = answer.status === 503 && answer.headers.get("Retry-After");
    if (soon) {
      say(found.error.message);
      await new Promise((done) => { setTimeout(done, 1000 * soon); });
      return ask(path, body);
    }
    throw new Error(found?.error?.message ?? `${path}: ${answer.status} ${answer.statusText}`);
  }
  return answer;
}

export async function get(path) {
  return (await ask(path)).json();
}

export async function post(path, body = {}) {
  return (await ask(path, body)).json();
}

/** Takes the token from the address that the studio has printed, or asks for it. */
async function logIn() {
  if ((await (await fetch("/api/session")).json()).open) return;
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    if (await exchange(given)) return;
  }
  const field = el("input", { type: "password", autocomplete: "off", required: true });
  const wrong = el("p", { class: "error", role: "alert" });
  const form = el("form", { class: "card narrow" },
    el("h1", {}, "Token"),
    el("label", {}, "The token that the studio printed when it started", field),
    el("button", {}, "Open"), wrong);
  main.replaceChildren(form);
  field.focus();
  main.dataset.ready = "true";
  await new Promise((done) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await exchange(field.value)) done();
      else wrong.textContent = "This is not the token of the studio that runs now.";
    });
  });
  delete main.dataset.ready;
  main.focus();
}

async function exchange(token) {
  const answer = await fetch("/api/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  await answer.text();
  return answer.ok;
}

// --- elements ------------------------------------------------------------------------------------

/** An element; a property that starts with "on" is a listener, and false or null leaves it out. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), guarded(value));
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((one) => one !== null && one !== undefined));
  return made;
}

/** A listener whose errors are told, and that does not run twice at a time. */
function guarded(listener) {
  let busy = false;
  return async (event) => {
    if (event.type === "submit") event.preventDefault();
    if (busy) return;
    busy = true;
    const { currentTarget: shown } = event; // what is waited for
    shown.setAttribute?.("aria-busy", "true");
    try {
      await listener(event);
    } catch (error) {
      say(error.message, true);
    } finally {
      busy = false;
      shown.removeAttribute?.("aria-busy");
    }
  };
}

/** One line at the foot of the page, which a screen reader reads out. */
export function say(text, wrong = false) {
  const said = document.getElementById("said");
  said.textContent = text;
  said.className = wrong ? "error shown" : "shown";
  clearTimeout(say.timer);
  say.timer = setTimeout(() => said.classList.remove("shown"), 8000);
}

/** A table; one that is `stacked` needs no scrolling on a phone, and so suits cells with controls. */
export function table(headings, rows, stacked = false) {
  return el("div", { class: stacked ? "scroll stacked" : "scroll", tabindex: "0", role: "region", "aria-label": headings.join(", ") },
    el("table", {},
      el("thead", {}, el("tr", {}, headings.map((one) => el("th", { scope: "col" }, one)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))));
}

export function player(url, label) {
  return el("audio", { controls: true, preload: "none", src: url, "aria-label": label });
}

export function number(value, digits = 3) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(digits)));
}

export function shortened(names) {
  return names.length < 5 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}

/** An input with its label, and a hint; neither the hint nor a list's options are part of its name. */
export function field(label, input, hint) {
  const control = input.querySelector("input[type=number]") ?? input; // a slider has a number beside it
  const id = `field-${++field.count}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", { class: "field" },
    el("label", { for: id }, label), input, hint ? el("small", { id: `${id}-hint` }, hint) : null);
}
field.count = 0;

export function select(options, chosen, properties = {}) {
  return el("select", properties,
    options.map((one) => el("option", { value: one, selected: one === chosen }, one)));
}

/** A button for each name, of which one is pressed. */
export function tabs(label, names, chosen, onchoose) {
  const buttons = names.map((name) => el("button", {
    type: "button",
    "aria-pressed": String(name === chosen),
    onclick: () => {
      for (const one of buttons) one.setAttribute("aria-pressed", String(one.textContent === name));
      return onchoose(name);
    },
  }, name));
  return el("div", { class: "tabs", role: "group", "aria-label": label }, buttons);
}

/** Replaces what a box holds. If the focus was in it, it goes to the new heading and is not lost. */
export function refill(box, ...children) {
  const held = box.contains(document.activeElement);
  box.replaceChildren(...children);
  const heading = held ? box.querySelector("h2") : null;
  heading?.setAttribute("tabindex", "-1");
  heading?.focus();
}

// --- events --------------------------------------------------------------------------------------

/** Calls `listener` with each event of the page's one socket, which is opened again when it is lost. */
export function listen(listener) {
  listeners.push(listener);
  if (listeners.length === 1) connect();
  else if (last) listener(last);
}

const listeners = [];
let last = null; // state of all jobs as the first event told it, kept up to date
let seen = null;

function connect() {
  const address = new URL("/api/events", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (seen !== null) address.searchParams.set("after", seen);
  const socket = new WebSocket(address);
  socket.addEventListener("open", () => tell());
  socket.addEventListener("message", (message) => {
    const event = JSON.parse(message.data);
    seen = event.seq;
    last = applied(last, event);
    for (const listener of listeners) listener(last, event);
    tell();
  });
  socket.addEventListener("close", () => {
    tell("The studio does not answer");
    setTimeout(reconnect, 1000);
  });
}

/** A studio that was started anew with another token refuses the socket; the page asks for the token. */
async function reconnect() {
  const answer = await fetch("/api/session").catch(() => null);
  if (answer?.ok && !(await answer.json()).open) location.reload();
  else connect();
}

/** In the header: a problem, or how many jobs run. */
function tell(problem = "") {
  const running = last?.jobs.filter((job) => job.state === "running").length;
  document.getElementById("running").textContent = problem || (running ? `${running} running` : "");
}

function applied(state, event) {
  if (event.type === "jobs") return { ...event };
  const jobs = new Map((state?.jobs ?? []).map((job) => [job.id, job]));
  if (event.type === "job") jobs.set(event.job.id, event.job);
  const ids = event.type === "order" ? event.ids : [...jobs.keys()];
  return { type: "jobs", seq: event.seq, jobs: ids.flatMap((id) => jobs.get(id) ?? []) };
}

// --- uploads -------------------------------------------------------------------------------------

/** A form that sends files and makes an input of them; `made` is called with the answer. */
export function inputForm({ made, ...more }) {
  return uploadForm({
    ...more,
    path: "/api/inputs",
    made: (answer) => {
      made(answer);
      return `${answer.command}: ${answer.files} files. Commit ${answer.commit.join(" and ")} to git.`;
    },
  });
}

/**
 * A form that sends files and makes something of them.
 *
 * @param {string} path is asked with `name` and `uploads`.
 * @param {function} made is called with the answer, and returns what to tell.
 */
export function uploadForm({ title, hint, accept, multiple, path, made }) {
  const files = el("input", { type: "file", accept, multiple, required: true });
  const name = el("input", { required: true, pattern: "[A-Za-z0-9_][A-Za-z0-9_.\\-]{0,63}" });
  const bar = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "sent" });
  const told = el("p", { class: "quiet" });
  return el("form", {
    class: "card",
    onsubmit: async () => {
      bar.hidden = false;
      const ids = [];
      try {
        for (const file of files.files) {
          told.textContent = `${file.name}, ${ids.length + 1} of ${files.files.length}`;
          ids.push((await send(file, (share) => { bar.value = share; })).id);
        }
        told.textContent = made(await post(path, { name: name.value, uploads: ids }));
      } finally {
        bar.hidden = true;
      }
    },
  },
    el("h2", {}, title), el("p", { class: "quiet" }, hint),
    el("div", { class: "row" }, field("files", files), field("name, which is new", name), el("button", { class: "main" }, "Send")),
    bar, told);
}

/** Sends a file; `progress` is called with the share that is sent, which `fetch` does not tell. */
function send(file, progress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/uploads?file=${encodeURIComponent(file.name)}`);
    request.upload.addEventListener("progress", (event) => progress(event.loaded / (event.total || 1)));
    request.addEventListener("error", () => failed(new Error(`${file.name}: the studio does not answer`)));
    request.addEventListener("load", () => {
      const answer = JSON.parse(request.responseText);
      if (request.status === 201) done(answer);
      else failed(new Error(answer.error.message));
    });
    request.send(file);
  });
}

// --- params --------------------------------------------------------------------------------------

/**
 * A form that puts a job into the queue.
 *
 * @param {object} choice `title`, `button`, `targets`, `keys` that are shown at once, `sections` of
 *   which the others are shown on demand.
 */
export async function jobForm({ title, button, targets, keys, sections }) {
  const { params } = await get("/api/params");
  const known = new Map(params.map((param) => [param.key, param]));
  const inputs = new Map();
  const row = (param) => {
    const input = paramInput(param);
    inputs.set(param.key, input);
    input.element.dataset.key = param.key;
    return input.element;
  };
  const first = keys.map((key) => row(known.get(key)));
  const others = params.filter((param) =>
    sections.includes(param.key.split(".")[0]) && !keys.includes(param.key));
  const name = el("input", { pattern: "[A-Za-z0-9][A-Za-z0-9_\\-]{0,63}", placeholder: "made if empty" });
  const command = el("code");
  // A run starts from the commit; what differs from it in the workspace alone is part of it, too.
  const changed = () => Object.fromEntries(params.flatMap(({ key, value, committed }) => {
    const wanted = inputs.has(key) ? inputs.get(key).value() : value;
    return JSON.stringify(wanted) === JSON.stringify(committed) ? [] : [[key, wanted]];
  }));
  const show = () => {
    const sets = Object.entries(changed()).map(([key, value]) =>
      ` -S '${key}=${JSON.stringify(value).replaceAll("'", `'"'"'`)}'`);
    const named = name.value ? ` -n ${name.value}` : "";
    command.textContent = `dvc exp run${named}${sets.join("")} ${targets.join(" ")}`;
    if (Object.keys(changed()).some((key) => key.startsWith(`${FROZEN}.`))) {
      command.prepend(`dvc unfreeze ${FROZEN} && `);
    }
  };
  const form = el("form", {
    class: "card",
    oninput: show,
    onsubmit: async () => {
      const job = await post("/api/jobs", { targets, params: changed(), name: name.value || null });
      const left = job.uncommitted.length ? ` Not part of it, as not committed: ${shortened(job.uncommitted)}.` : "";
      say(`${job.id} is in the queue.${left}`);
      name.value = "";
      show();
    },
  },
    el("h2", {}, title),
    el("div", { class: "fields" }, first),
    el("details", {}, el("summary", {}, "All params"), el("div", { class: "fields" }, others.map(row))),
    el("div", { class: "fields" }, field("name of the experiment", name)),
    el("p", {}, command),
    el("button", {}, button), " ", el("a", { href: "/jobs" }, "All jobs"));
  show();
  return form;
}

/** Writes a value into a form of params, as if it were typed. */
export function setParam(form, key, value) {
  const input = form.querySelector(`[data-key="${key}"] input`);
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

/** The input of a param, and a function that reads its value. */
function paramInput({ key, value, comment, type, nullable, choices, minimum, maximum }) {
  const empty = nullable ? { placeholder: "null" } : {};
  if (type === "choice") {
    const input = select(choices, value);
    return { element: field(key, input, comment), value: () => input.value };
  }
  if (type === "boolean") {
    const input = el("input", { type: "checkbox", checked: value });
    return { element: field(key, input, comment), value: () => input.checked };
  }
  if (type === "array") {
    const input = el("textarea", { rows: 2 });
    input.value = value.join("\n");
    return {
      element: field(key, input, `${comment}; one per line`),
      value: () => input.value.split("\n").filter(Boolean),
    };
  }
  if (type === "string") {
    const input = el("input", { value });
    return { element: field(key, input, comment), value: () => input.value };
  }
  const whole = type === "integer";
  const bounds = { min: minimum, max: maximum, step: whole ? 1 : "any" };
  const input = el("input", { type: "number", value, ...bounds, ...empty, required: !nullable });
  const read = () => (input.value === "" ? null : Number(input.value));
  if (minimum === null || maximum === null || nullable || whole) {
    return { element: field(key, input, comment), value: read };
  }
  const slider = el("input", {
    type: "range", min: minimum, max: maximum, step: (maximum - minimum) / 100, value,
    "aria-label": `slider of ${key}`,
    oninput: () => { input.value = slider.value; },
  });
  input.addEventListener("input", () => { slider.value = input.value; });
  return { element: field(key, el("span", { class: "slider" }, slider, input), comment), value: read };
}

// --- curves --------------------------------------------------------------------------------------

const MOST_ROWS = 40; // of the table of a curve
let plots = null; // the library, loaded once

/**
 * Draws series of [step, value] into a box, by names such as "voice_train val/loss". Each plot has its
 * values as a table, which stays open when they are drawn anew.
 */
export async function drawCurves(box, series) {
  plots ??= new Promise((done, failed) => {
    document.head.append(el("link", { rel: "stylesheet", href: "/static/vendor/uplot.css" }));
    const script = el("script", { src: "/static/vendor/uplot.js" });
    script.addEventListener("load", () => done(window.uPlot));
    script.addEventListener("error", () => failed(new Error("uplot.js: cannot be loaded")));
    document.head.append(script);
  });
  const Plot = await plots;
  const names = Object.keys(series).filter((name) => series[name].length > 1);
  const colours = ["#5b7cfa", "#e0567a", "#1f9e89", "#c08a1e", "#a35bb5"]; // seen on light and dark
  const groups = new Map(); // figures of another kind have another scale
  for (const name of names) {
    const kind = name.split(" ").at(-1);
    groups.set(kind, [...(groups.get(kind) ?? []), name]);
  }
  const made = [...groups].map(([kind, members]) => {
    const steps = [...new Set(members.flatMap((name) => series[name].map(([step]) => step)))];
    steps.sort((a, b) => a - b);
    const rows = members.map((name) => {
      const values = new Map(series[name]);
      return steps.map((step) => values.get(step) ?? null);
    });
    const figure = el("figure", {}, el("figcaption", {}, kind));
    const axis = {
      stroke: "#777", grid: { stroke: "#7773" }, size: 60, values: (_, ticks) => ticks.map((tick) => number(tick)),
    };
    const label = (name) => name.split(" ")[0];
    const plot = new Plot({
      width: Math.min(360, main.clientWidth - 72), height: 190, // 72 are the margins of a card
      axes: [axis, axis], scales: { x: { time: false } },
      series: [{ label: "step" }, ...members.map((name, at) => ({
        label: label(name), stroke: colours[at % colours.length], spanGaps: true, width: 1.5,
      }))],
    }, [steps, ...rows], figure);
    plot.root.setAttribute("aria-hidden", "true");
    const every = Math.ceil(steps.length / MOST_ROWS);
    const values = steps.map((step, at) => [step, ...rows.map((row) => number(row[at]))]);
    figure.append(el("details", { "data-kind": kind }, el("summary", {}, `Values of ${kind}`),
      table(["step", ...members.map(label)],
        values.filter((_, at) => at % every === 0 || at === values.length - 1))));
    return figure;
  });
  const focused = box.contains(document.activeElement) && document.activeElement.closest("details")?.dataset.kind;
  const open = [...box.querySelectorAll("details[open]")].map((one) => one.dataset.kind);
  box.replaceChildren(...made);
  for (const one of box.querySelectorAll("details")) {
    one.open = open.includes(one.dataset.kind);
    if (one.dataset.kind === focused) one.firstChild.focus();
  }
}

// --- the page ------------------------------------------------------------------------------------

const here = location.pathname.slice(1) || FIRST;
const title = PAGES.find(([name]) => name === here)?.[1] ?? "Likeness";
document.title = `${title} · Likeness studio`;
document.querySelector("nav").append(...PAGES.map(([name, text]) =>
  el("a", { href: `/${name}`, "aria-current": name === here ? "page" : null }, text)));

// After this module has been run to its end, as the script of the page imports it.
setTimeout(async () => {
  try {
    await logIn();
    const { show } = await import(`/static/pages/${here}.js`);
    main.replaceChildren(el("h1", {}, title));
    listen(() => {});
    await show(main);
  } catch (error) {
    say(error.message, true);
  }
  main.dataset.ready = "true";
  performance.mark("ready"); // what benchmarks/studio_pages.py measures
});
