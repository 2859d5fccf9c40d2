"""Train a small XTTS on synthesized speech (DVAE, speakers, language model, decoder), then measure it.

`Xtts.load_checkpoint` loads the folder that this writes, and `Xtts.inference` speaks with it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.cli import run
from likeness.common.io import write_json, write_text
from models.settings import XttsMini, begin
from models.spoken import INPUT_RATE, RATE, Corpus, first, spoken
from models.teachers import fetch_teachers
from models.texts import measured
from models.xtts_codes import encode, log_mels, train_dvae
from models.xtts_language import reference, train_gpt
from models.xtts_measure import load_stock, measure
from models.xtts_nets import build_decoder, build_tokenizer, save_folder, save_tensors
from models.xtts_speakers import train_speaker_encoder
from models.xtts_vocoder import latents_of, start_decoder, train_decoder


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, XttsMini, "asr", "speaker", "mos", "out_dir")
    corpus = spoken(cfg.speech, rt)
    tokenizer = build_tokenizer(corpus.texts, args.out_dir / "vocab.json")
    mels, mel_stats = log_mels(corpus, rt)
    seconds = {}
    some = first(corpus, cfg.speech.first)
    dvae, seconds["dvae"] = train_dvae(cfg, mels[: cfg.speech.first], rt)
    codes = encode(dvae, mels, rt)
    decoder = build_decoder(cfg)
    decoder.speaker_encoder, seconds["speaker"] = train_speaker_encoder(cfg, some, rt)
    seconds["start"] = start_decoder(cfg, decoder, dvae, some, codes[: cfg.speech.first], rt)
    gpt, seconds["gpt"] = train_gpt(
        cfg, tokenizer, corpus, codes, mels, mel_stats, dvae.codebook.embed.T, rt
    )
    latents = latents_of(gpt, tokenizer, some, codes[: cfg.speech.first], mel_stats, rt)
    seconds["decoder"] = train_decoder(cfg, decoder, some, latents, rt)
    save_folder(cfg, args.out_dir, tokenizer, gpt, decoder, dvae, mel_stats)
    save_speakers(cfg, args.out_dir, corpus)
    quality = {
        "utterances": len(corpus.texts),
        "speakers": len(corpus.names),
        "hours": round(sum(map(len, corpus.waves)) / RATE / 3600, 2),
        **{f"{name}_seconds": round(value) for name, value in seconds.items()},
        **measure(
            cfg, args.out_dir, fetch_teachers(cfg.speech, rt), args.asr, args.speaker, args.mos, rt
        ),
    }
    write_json(args.out_dir / "quality.json", quality)
    write_text(args.out_dir / "README.md", CARD.format(cfg=cfg, q=quality, rows=table(quality)))


def save_speakers(cfg: XttsMini, folder: Path, corpus: Corpus) -> None:
    """Write `speakers_xtts.pth`: conditioning latents and embedding of Kokoro's voices, by name."""
    import torch

    model = load_stock(folder)
    speakers = {}
    for voice in cfg.speech.voices:
        rows = np.flatnonzero(corpus.voices == corpus.names.index(voice))
        audio = reference(rows[:6], corpus, 12.0)[None]
        with torch.inference_mode():
            latents = model.get_gpt_cond_latents(audio, INPUT_RATE, length=12, chunk_length=4)
            embedding = model.get_speaker_embedding(audio, INPUT_RATE)
        speakers[voice] = {
            "gpt_cond_latent": latents.clone(), "speaker_embedding": embedding.clone(),
        }  # fmt: skip
    save_tensors(folder / "speakers_xtts.pth", speakers)


def table(quality: Mapping[str, Any]) -> str:
    """The rows of the card's table of word error rates, one for each kind of sentence."""
    rows = []
    for kind in measured():
        cells = [
            f"{quality[name]:.1%} ({quality[f'{name}_low']:.1%} to {quality[f'{name}_high']:.1%})"
            for name in (f"wer_{kind}", f"wer_{kind}_stock", f"wer_{kind}_teachers")
        ]
        rows.append(f"  | {' | '.join((kind, str(quality[f'wer_{kind}_n']), *cells))} |")
    return "\n".join(rows)


CARD = """---
license: apache-2.0
library_name: coqui-tts
---
# xtts_mini

A small XTTS that reads English aloud in the voice of a reference. Coqui's own classes load it
(`Xtts.load_checkpoint`) and speak with it (`Xtts.inference`). It stands in for XTTS-v2 where no model hub
can be reached, so that the whole lane runs and learns on a CPU.

- It reads phonemes: `config.json` says `"text": "phonemes"`, and this repository turns text into eSpeak
  NG's (`likeness.voice.phonemes`). Coqui's classes do not know that key and must be given the
  phonemes.
- Data: {q[utterances]} texts ({q[hours]} hours) in {q[speakers]} voices: {q[voices]} English voices of
  Kokoro-82M, {cfg.speech.blends} blends of two of them, and Piper's joe. The texts are example
  sentences of WordNet, sentences of the sample narration's grammar (`narration.py`), and words in
  random order. The voice of the sample narration, am_michael, is in none of it. Kokoro and its voices
  are under the Apache License 2.0, joe's recordings are CC0, WordNet has a licence of its own like
  BSD's, eSpeak NG is under the GPL 3.
- Codes: a DVAE of {cfg.dvae.hidden} channels, {cfg.dvae.plain_steps} steps as an autoencoder, its
  codebook started by k-means, {cfg.dvae.steps} steps with codes: {q[dvae_seconds]} s.
- Speaker encoder: tells the voices apart, each at several speeds of playback, {cfg.speakers.steps}
  steps: {q[speaker_seconds]} s. It was not trained on, nor by, what scores similarity.
- Language model: {cfg.gpt.layers} layers of {cfg.gpt.width}, {cfg.gpt.steps} steps of {cfg.gpt.batch}
  by Muon: {q[gpt_seconds]} s. Three attention heads are shown which phoneme is being said, which is
  next and which was before, by the times that the teachers give; and what the model knows at each code
  must give the mel frames too, through a layer that is thrown away, as a code is a coarse picture.
- Decoder: a HiFi-GAN of {cfg.decoder.width} channels, trained on spectra alone: {cfg.decoder.code_steps}
  steps on the codes' vectors ({q[start_seconds]} s), {cfg.decoder.steps} on the language model's latents
  ({q[decoder_seconds]} s). All on two CPU cores, from scratch.
- Word error rates by `{q[asr]}` on the sentences of `models/xtts_sentences.yaml`, which no voice read
  in training, with 95 % intervals. (Of those that are joined, one in ten was read on its own.)

  | sentences | n | this model | Coqui's classes | the teachers |
  | --- | --- | --- | --- | --- |
{rows}

- Predicted MOS (DNSMOS, overall) {q[dnsmos]:.2f} ({q[dnsmos_low]:.2f} to {q[dnsmos_high]:.2f}), the
  teachers' {q[dnsmos_teachers]:.2f}; n {q[dnsmos_n]}.
- Cosine to readings of the same voice (`speaker_encoder`) {q[similarity]:.3f} ({q[similarity_low]:.3f}
  to {q[similarity_high]:.3f}), to those of other voices {q[similarity_others]:.3f}; n
  {q[similarity_n]}. {q[seconds_per_second]} s for a second of speech.
- Weights are in half precision, matrices rounded to at least eight steps per standard deviation, in
  compressed archives. The decoder, the speaker encoder and the DVAE stand in the leading channels of
  Coqui's sizes; their other channels are zero, and so is the DVAE's own decoder, which speaks in
  no part of XTTS.
"""


if __name__ == "__main__":
    run(main)
