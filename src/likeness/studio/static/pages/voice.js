// The voice lane's data: what there is, and a form that makes it anew.

import { el, get, jobForm, number, table } from "/static/studio.js";

const KEYS = [
  "inputs.recordings", "inputs.asr", "voice_segment.min_speech_seconds", "voice_segment.max_seconds",
  "voice_segment.vad_threshold", "voice_transcribe.parallel", "voice_clips.min_seconds",
  "voice_clips.max_seconds", "voice_clips.min_dnsmos",
];

export async function show(main) {
  const [{ datasets }, form] = await Promise.all([
    get("/api/datasets"),
    jobForm({
      title: "Build the dataset",
      button: "Build",
      targets: ["voice_dataset"],
      keys: KEYS,
      sections: ["voice_segment", "voice_transcribe", "voice_clips", "voice_dataset"],
    }),
  ]);
  const found = datasets.find((one) => one.id === "voice_dataset");
  main.append(found ? dataset(found) : el("p", {}, "There is no dataset yet."), form);
}

function dataset({ rows, seconds, splits, rejected, url }) {
  const { total } = { total: Object.values(rejected).reduce((a, b) => a + b, 0) };
  return el("section", { class: "card" },
    el("h2", {}, "The dataset in the workspace"),
    el("p", {}, `${rows} clips, ${number(seconds / 60)} minutes; ${total} rows set aside. `,
      el("a", { href: url }, "manifest.jsonl"), " · ", el("a", { href: "/clips" }, "Listen to the clips")),
    table(["split", "clips"], Object.entries(splits).map(([name, n]) => [name, String(n)])));
}
