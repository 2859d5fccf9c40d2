// The voice lane's data: what there is, and a form that makes it anew.

import { el, get, inputForm, jobForm, number, setParam } from "/static/studio.js";

const KEYS = [
  "voice_download.urls", "inputs.recordings", "inputs.asr", "voice_segment.min_speech_seconds", "voice_segment.max_seconds",
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
      sections: ["voice_download", "voice_segment", "voice_transcribe", "voice_clips", "voice_dataset"],
    }),
  ]);
  const found = datasets.find((one) => one.id === "voice_dataset");
  const upload = inputForm({
    title: "Add recordings",
    hint: "Audio or video files of any format, of one speaker. They become a folder under data/raw/.",
    accept: "audio/*,video/*",
    multiple: true,
    made: ({ param, name }) => setParam(form, param, name),
  });
  main.append(found ? dataset(found) : el("p", {}, "There is no dataset yet."), upload, form);
}

function dataset({ rows, seconds, splits, rejected, url }) {
  const aside = Object.values(rejected).reduce((sum, n) => sum + n, 0);
  const parts = Object.entries(splits).map(([name, n]) => `${name} ${n}`).join(", ");
  return el("section", { class: "card" },
    el("h2", {}, "The dataset in the workspace"),
    el("p", {}, `${rows} clips (${parts}), ${number(seconds / 60)} minutes; ${aside} rows set aside. `,
      el("a", { href: url }, "manifest.jsonl"), " · ", el("a", { href: "/clips" }, "Listen to the clips")));
}
