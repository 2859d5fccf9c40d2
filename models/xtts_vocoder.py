"""The decoder of xtts_mini: a narrow HiFi-GAN that turns the language model's latents into speech.

It has the shape of a HiFi-GAN (Kong et al. 2020, arXiv 2010.05646) and is trained on spectra alone, as
these need no second network. It starts on the codes' own vectors, which say the same as the latents and
are there before the language model is: so both can be trained at once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.runtime import Runtime
from likeness.voice.codes import log_mel
from models.fitting import fit
from models.settings import WaveDecoder, XttsMini, code_key
from models.spectra import spectral_distance
from models.spoken import CODE, INPUT_RATE, RATE, Corpus, as_tensor
from models.xtts_language import STYLE_FFT, reference, text_tokens
from models.xtts_nets import STOP_CODE, build_decoder
from models.xtts_speakers import embed_speakers

if TYPE_CHECKING:
    import torch

SCALE = CODE * RATE / INPUT_RATE  # samples at RATE per code
REFERENCES = 8  # utterances of a voice whose embeddings the decoder is given


def start_decoder(
    cfg: XttsMini, decoder: Any, dvae: Any, corpus: Corpus, codes: "list[torch.Tensor]", rt: Runtime
) -> float:
    """Train the decoder on the vectors of the codes. Returns the training time in seconds.

    A linear layer between brings the vectors to the latents' width; it is thrown away.
    """
    import torch

    torch.manual_seed(cfg.speech.seed)
    book = dvae.codebook.embed.T.clone()  # (codes, width)
    front = torch.nn.Linear(book.shape[1], cfg.gpt.width)
    whole = torch.nn.ModuleDict({"front": front, "decoder": decoder.waveform_decoder})
    batches = Batches(cfg.decoder, decoder, corpus, [book[own] for own in codes], rt)
    distance = spectral_distance(RATE)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        vectors, embeddings, meant = batches.draw(rng)
        made = synthesize(decoder, front(vectors), embeddings)
        return distance(made, meant[:, : made.shape[1]])

    key = code_key(
        start_decoder, Batches, synthesize, spectral_distance, build_decoder, cfg.decoder,
        cfg.speakers, cfg.dvae, cfg.speech,
    )  # fmt: skip
    return fit(
        "decoder on codes", {"whole": whole}, loss, steps=cfg.decoder.code_steps, lr=cfg.decoder.lr,
        decay=0.0, seed=cfg.speech.seed, scratch=rt.scratch("xtts_mini_decoder_codes", key),
        save_seconds=cfg.save_seconds, rt=rt,
    )  # fmt: skip


def train_decoder(
    cfg: XttsMini, decoder: Any, corpus: Corpus, latents: "list[torch.Tensor]", rt: Runtime
) -> float:
    """Train the decoder on the language model's latents. Returns the training time in seconds."""
    model = decoder.waveform_decoder.train()
    batches = Batches(cfg.decoder, decoder, corpus, latents, rt)
    distance = spectral_distance(RATE)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        heard, embeddings, meant = batches.draw(rng)
        made = synthesize(decoder, heard, embeddings)
        return distance(made, meant[:, : made.shape[1]])

    key = code_key(
        train_decoder, start_decoder, Batches, synthesize, spectral_distance, build_decoder,
        cfg.decoder, cfg.speakers, cfg.gpt, cfg.dvae, cfg.speech,
    )  # fmt: skip
    seconds = fit(
        "decoder", {"decoder": model}, loss, steps=cfg.decoder.steps, lr=cfg.decoder.lr, decay=0.0,
        seed=cfg.speech.seed, scratch=rt.scratch("xtts_mini_decoder", key),
        save_seconds=cfg.save_seconds, rt=rt,
    )  # fmt: skip
    model.eval().requires_grad_(False)
    return seconds


class Batches:
    """Windows of utterances for the decoder, all voices about equally often."""

    def __init__(
        self, cfg: WaveDecoder, decoder: Any, corpus: Corpus, inputs: "Sequence[torch.Tensor]",
        rt: Runtime,
    ) -> None:  # fmt: skip
        """`inputs` are each utterance's latents or vectors, (codes or more, width)."""
        self._cfg, self._corpus, self._inputs = cfg, corpus, inputs
        long = np.array([len(own) >= cfg.window for own in inputs])
        voices = corpus.voices
        self._usable = [np.flatnonzero(long & (voices == one)) for one in range(len(corpus.names))]
        of = [np.flatnonzero(voices == one)[:REFERENCES] for one in range(len(corpus.names))]
        self._embeddings = [
            embed_speakers(decoder.speaker_encoder, [corpus.inputs[at] for at in rows])
            for rows in rt.progress(of, "embed", total=len(of))
        ]

    def draw(self, rng: np.random.Generator) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """Inputs (batch, window, width), embeddings (batch, 512, 1), waves (batch, samples) at RATE."""
        import torch

        window, parts, waves, embeddings = self._cfg.window, [], [], []
        for voice in rng.integers(len(self._usable), size=self._cfg.batch):
            at = int(rng.choice(self._usable[voice]))
            first = int(rng.integers(len(self._inputs[at]) - window + 1))
            parts.append(self._inputs[at][first : first + window])
            # The last latent is that of the stop token, which stands for silence.
            whole = np.pad(self._corpus.waves[at], (0, 2 * CODE))
            waves.append(as_tensor(whole[round(first * SCALE) :][: round(window * SCALE)]))
            known = self._embeddings[voice]
            embeddings.append(known[int(rng.integers(len(known)))])
        return torch.stack(parts).float(), torch.stack(embeddings), torch.stack(waves)


def synthesize(decoder: Any, latents: "torch.Tensor", embeddings: "torch.Tensor") -> "torch.Tensor":
    """Waves (B, samples) at RATE of latents (B, codes, width) and speakers' embeddings (B, 512, 1)."""
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        made: torch.Tensor = decoder(latents, g=embeddings)
    return made.float().squeeze(1)


def latents_of(
    gpt: Any, tokenizer: Any, corpus: Corpus, codes: "list[torch.Tensor]",
    mel_stats: "torch.Tensor", rt: Runtime,
) -> "list[torch.Tensor]":  # fmt: skip
    """Each utterance's latents (codes + 1, width) in half precision, as `Xtts.inference` has them."""
    import torch
    import torch.nn.functional as functional

    latents = []
    with torch.inference_mode():
        styles = []
        for voice in range(len(corpus.names)):
            clip = reference(np.flatnonzero(corpus.voices == voice)[:6], corpus, 6.0)
            styles.append(
                gpt.get_style_emb(log_mel(clip[None], STYLE_FFT, mel_stats)).transpose(1, 2)
            )
        rows = zip(corpus.texts, codes, corpus.voices, strict=True)
        for text, own, voice in rt.progress(rows, "latents", total=len(codes)):
            tokens = text_tokens(text, tokenizer)[None]
            stopped = functional.pad(own, (0, 1), value=STOP_CODE)[None]
            with torch.autocast("cpu", torch.bfloat16):
                found = gpt(
                    tokens, torch.tensor([tokens.shape[1]]), stopped,
                    torch.tensor([stopped.shape[1] * CODE]), cond_latents=styles[voice],
                    return_latent=True,
                )  # fmt: skip
            latents.append(found[0].half().clone())
    return latents
