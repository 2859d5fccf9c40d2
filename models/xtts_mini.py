"""Train a small XTTS on catalogue sentences (DVAE, speaker encoder, GPT, decoder), then measure it.

`Xtts.load_checkpoint` loads the folder that this writes, and `Xtts.inference` speaks with it.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.cli import run
from likeness.common.io import write_json, write_text
from likeness.common.runtime import Runtime
from likeness.voice.codes import FFT, FRAMES, build_dvae, log_mel
from models.fitting import fit
from models.settings import XttsMini, begin, code_key
from models.spoken import CODE, INPUT_RATE, RATE, Corpus, spoken
from models.xtts_measure import load_xtts, measure
from models.xtts_nets import (
    CODES,
    LANGUAGE,
    START_CODE,
    STOP_CODE,
    build_decoder,
    build_speaker_encoder,
    build_tokenizer,
    build_xtts,
    save_folder,
    save_tensors,
)

if TYPE_CHECKING:
    import torch

STYLE_FFT = 2048  # samples: the FFT window of the mels that condition the GPT
ENCODER_RATE = 16000  # Hz, of the speaker encoder
IGNORE = -100  # a target that the losses leave out


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, XttsMini, "asr", "speaker", "out_dir")
    corpus = spoken(cfg.speech, rt)
    tokenizer = build_tokenizer(cfg, args.out_dir / "vocab.json")
    mels, mel_stats = log_mels(corpus, rt)
    dvae, dvae_seconds = train_dvae(cfg, mels, rt)
    codes = encode(dvae, mels, rt)
    del mels  # gigabytes
    gpt, gpt_seconds = train_gpt(cfg, tokenizer, corpus, codes, mel_stats, rt)
    decoder = build_decoder(cfg)
    decoder.speaker_encoder, speaker_seconds = train_speaker_encoder(cfg, corpus, rt)
    decoder_seconds = train_decoder(cfg, decoder, gpt, tokenizer, corpus, codes, mel_stats, rt)
    save_folder(cfg, args.out_dir, tokenizer, gpt, decoder, dvae, mel_stats)
    save_speakers(cfg, args.out_dir, corpus)
    quality = {
        "utterances": len(corpus.texts),
        "words": len(set(re.findall("[a-z]+", " ".join(corpus.texts).lower()))),
        "hours": round(sum(map(len, corpus.waves)) / RATE / 3600, 2),
        "dvae_seconds": round(dvae_seconds),
        "speaker_seconds": round(speaker_seconds),
        "gpt_seconds": round(gpt_seconds),
        "decoder_seconds": round(decoder_seconds),
        **measure(cfg, args.out_dir, spoken(cfg.speech, rt, part=1), args.asr, args.speaker, rt),
    }
    write_json(args.out_dir / "quality.json", quality)
    voices = ", ".join(f"{voice.name} ({voice.engine})" for voice in cfg.speech.voices)
    write_text(args.out_dir / "README.md", CARD.format(cfg=cfg, q=quality, voices=voices))


def as_tensor(samples: np.ndarray) -> "torch.Tensor":
    """Convert 16-bit samples (N,) to a float tensor in -1..1."""
    import torch

    return torch.from_numpy(np.array(samples)).float() / 32768


# --- codes --------------------------------------------------------------------------------------


def log_mels(corpus: Corpus, rt: Runtime) -> tuple[list["torch.Tensor"], "torch.Tensor"]:
    """Each utterance's log-mels (80, FRAMES * codes) over their deviations; and the deviations (80,)."""
    import torch

    plain = torch.ones(80)
    with torch.inference_mode():
        mels = [
            log_mel(as_tensor(samples)[None], FFT, plain)[0]
            for samples in rt.progress(corpus.inputs, "mels", total=len(corpus.inputs))
        ]
        mel_stats = torch.cat(mels, dim=1).std(dim=1)
        return [mel / mel_stats[:, None] for mel in mels], mel_stats.clone()


def train_dvae(cfg: XttsMini, mels: list["torch.Tensor"], rt: Runtime) -> tuple[Any, float]:
    """Train the DVAE, first without a codebook, then with it. Returns it and the seconds it took."""
    import torch
    import torch.nn.functional as functional

    torch.manual_seed(cfg.speech.seed)
    dvae = build_dvae(CODES, cfg.dvae.hidden, cfg.dvae.codebook).train()
    whole = torch.cat(mels, dim=1)

    def sample(rng: np.random.Generator) -> "torch.Tensor":
        starts = rng.integers(whole.shape[1] - cfg.dvae.window, size=cfg.dvae.batch)
        return torch.stack([whole[:, at : at + cfg.dvae.window] for at in starts])

    def plain(rng: np.random.Generator) -> "torch.Tensor":
        frames = sample(rng)
        with torch.autocast("cpu", torch.bfloat16):
            made = dvae.decoder(dvae.encoder(frames))
        return functional.mse_loss(made.float(), frames)

    def coded(rng: np.random.Generator) -> "torch.Tensor":
        frames = sample(rng)
        with torch.autocast("cpu", torch.bfloat16):
            vectors = dvae.encoder(frames)
        # The search for the nearest code needs full precision.
        quantized, _, commitment = dvae.codebook(vectors.float().transpose(1, 2))
        with torch.autocast("cpu", torch.bfloat16):
            made = dvae.decoder(quantized.transpose(1, 2))
        rebuilt = functional.mse_loss(made.float(), frames)
        return rebuilt + 0.25 * torch.as_tensor(commitment)

    learn = partial(
        fit, lr=cfg.dvae.lr, decay=0.0, seed=cfg.speech.seed, save_seconds=cfg.save_seconds, rt=rt
    )
    key = code_key(train_dvae, build_dvae, start_codebook, kmeans, cfg.dvae, cfg.speech)
    seconds = learn(
        "dvae plain", {"dvae": dvae}, plain, steps=cfg.dvae.plain_steps,
        scratch=rt.scratch("xtts_mini_plain", key),
    )  # fmt: skip
    start_codebook(dvae, mels, cfg.dvae.batch * cfg.dvae.window // FRAMES)
    seconds += learn(
        "dvae", {"dvae": dvae}, coded, steps=cfg.dvae.steps,
        scratch=rt.scratch("xtts_mini_dvae", key),
    )  # fmt: skip
    return dvae.eval().requires_grad_(False), seconds


def start_codebook(dvae: Any, mels: list["torch.Tensor"], batch_codes: int) -> None:
    """Initialize the codebook by k-means of the encoder's outputs; a random one would collapse.

    Args:
        dvae: trained as an autoencoder, without a codebook.
        mels: log-mels (80, frames) of utterances, with more codes in all than the codebook.
        batch_codes: codes per training batch, to which the codebook's usage counts are scaled.
    """
    import torch

    with torch.inference_mode():
        vectors = torch.cat([dvae.encoder(mel[None])[0].T for mel in mels[:1000]]).clone()
    centres, counts = kmeans(vectors, dvae.num_tokens)
    book = dvae.codebook
    book.embed.copy_(centres.T)
    book.cluster_size.copy_(counts * batch_codes / len(vectors))
    book.embed_avg.copy_(book.embed * book.cluster_size)


def kmeans(
    vectors: "torch.Tensor", count: int, rounds: int = 12
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Lloyd's k-means of vectors (N, d). Returns centres (count, d) and cluster sizes (count,)."""
    import torch

    centres = vectors[torch.linspace(0, len(vectors) - 1, count).long()].clone()
    for _ in range(rounds):
        nearest = torch.cat([torch.cdist(part, centres).argmin(1) for part in vectors.split(4096)])
        counts = torch.bincount(nearest, minlength=count).float()
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        # The centre of an empty cluster stays where it was.
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    return centres, counts


def encode(dvae: Any, mels: list["torch.Tensor"], rt: Runtime) -> list["torch.Tensor"]:
    """The codes (n,) of each utterance."""
    import torch

    with torch.inference_mode():
        bar = rt.progress(mels, "encode", total=len(mels))
        return [dvae.get_codebook_indices(mel[None])[0].clone() for mel in bar]


# --- speakers -----------------------------------------------------------------------------------


def train_speaker_encoder(cfg: XttsMini, corpus: Corpus, rt: Runtime) -> tuple[Any, float]:
    """Train the speaker encoder as a classifier of voices. Returns it and the seconds it took.

    Resampled speech counts as a further speaker, so that embeddings cover more than a few voices.
    The encoder that scores the result, models/speaker_encoder, is not used in training.
    """
    import torch
    import torch.nn.functional as functional

    torch.manual_seed(cfg.speech.seed)
    encoder = build_speaker_encoder(cfg).train()
    kinds = len(cfg.speakers.stretches)
    speakers = torch.nn.Parameter(torch.randn(len(cfg.speech.voices) * kinds, 512))
    both = torch.nn.ModuleDict({"encoder": encoder, "speakers": torch.nn.ParameterList([speakers])})
    length = round(cfg.speakers.seconds * ENCODER_RATE)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        rows = rng.integers(len(corpus.texts), size=cfg.speakers.batch)
        which = rng.integers(kinds, size=cfg.speakers.batch)
        clips = [
            excerpt(corpus.inputs[row], length, cfg.speakers.stretches[kind], rng)
            for row, kind in zip(rows, which, strict=True)
        ]
        noise = 10 ** rng.uniform(-4, -2, size=(len(rows), 1))
        waves = np.stack(clips) + noise * rng.normal(size=(len(rows), length))
        made = encoder(torch.from_numpy(waves).float())
        cosines = functional.normalize(made) @ functional.normalize(speakers).T
        target = torch.from_numpy(corpus.voices[rows] * kinds + which)
        return functional.cross_entropy(20 * cosines, target)

    key = code_key(train_speaker_encoder, build_speaker_encoder, excerpt, cfg.speakers, cfg.speech)
    seconds = fit(
        "speakers", {"both": both}, loss, steps=cfg.speakers.steps, lr=cfg.speakers.lr, decay=0.01,
        seed=cfg.speech.seed, scratch=rt.scratch("xtts_mini_speaker", key),
        save_seconds=cfg.save_seconds, rt=rt,
    )  # fmt: skip
    return encoder.eval().requires_grad_(False), seconds


def excerpt(
    samples: np.ndarray, length: int, stretch: float, rng: np.random.Generator
) -> np.ndarray:
    """`length` samples in -1..1 at ENCODER_RATE from a random position, slowed down `stretch` times."""
    step = INPUT_RATE / ENCODER_RATE / stretch
    start = rng.uniform(0, max(len(samples) - length * step, 1))
    at = (start + step * np.arange(length)) % (len(samples) - 1)
    return np.asarray(np.interp(at, np.arange(len(samples)), samples) / 32768)


def embed_speakers(encoder: Any, corpus: Corpus, rt: Runtime) -> "torch.Tensor":
    """Embeddings of all utterances (N, 512, 1), each as `Xtts.get_speaker_embedding` returns it."""
    import torch
    from torchaudio.functional import resample

    with torch.inference_mode():
        bar = rt.progress(corpus.inputs, "embed", total=len(corpus.inputs))
        clips = (resample(as_tensor(x)[None], INPUT_RATE, ENCODER_RATE) for x in bar)
        return torch.cat([encoder(clip, l2_norm=True) for clip in clips]).unsqueeze(-1).clone()


# --- the language model -------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """A training batch; each list has an entry for each row.

    `texts` are text tokens, `codes` the target codes, `heard` the input codes (some are corrupted),
    `styles` indices of voices. To supervise attention, `words` holds the index of each text token's
    word, and `said` that of the word being spoken at each code and after the last one.
    """

    texts: list["torch.Tensor"]
    codes: list["torch.Tensor"]
    heard: list["torch.Tensor"]
    styles: list[int]
    words: list["torch.Tensor"]
    said: list["torch.Tensor"]


def train_gpt(
    cfg: XttsMini, tokenizer: Any, corpus: Corpus, codes: list["torch.Tensor"],
    mel_stats: "torch.Tensor", rt: Runtime,
) -> tuple[Any, float]:  # fmt: skip
    """Train the language model. Returns it and the training time in seconds."""
    import torch

    gpt = build_xtts(cfg, tokenizer).gpt.train()
    for module in gpt.modules():  # sentences repeat little, and dropout is slow
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for block in gpt.gpt.h:  # the same function as one fused kernel
        block.mlp.act = torch.nn.GELU(approximate="tanh")
    texts = [tokenizer.encode(text, LANGUAGE) for text in corpus.texts]
    lines = sort_lines(cfg, corpus, codes)
    letters = spellings(tokenizer)
    by_voice = [np.flatnonzero(corpus.voices == v) for v in range(len(cfg.speech.voices))]

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        # Neighbours in `lines` have similar lengths, so that rows need little padding.
        first = int(rng.integers(max(len(lines) - 2 * cfg.gpt.batch, 1)))
        near = lines[first : first + 2 * cfg.gpt.batch]
        rows = [near[at] for at in rng.permutation(len(near))[: cfg.gpt.batch]]
        voices, styles_of = np.unique([corpus.voices[row[0]] for row in rows], return_inverse=True)
        tokens = [
            torch.tensor(
                spell([id for at in row for id in texts[at]], letters, cfg.gpt.spell_share, rng)
            )
            for row in rows
        ]
        spoken_codes = [torch.cat([codes[at] for at in row]) for row in rows]
        batch = Batch(
            tokens,
            spoken_codes,
            [mishear(own, rng.uniform(0, cfg.gpt.most_misheard), rng) for own in spoken_codes],
            styles_of.tolist(),
            [word_numbers(own, tokenizer) for own in tokens],
            [words_said(row, corpus, codes) for row in rows],
        )
        shortest, longest = cfg.gpt.reference_seconds
        seconds = rng.uniform(shortest, longest)
        taken = {at for row in rows for at in row}
        clips = [
            reference(
                [at for at in rng.choice(by_voice[voice], 20) if at not in taken], corpus, seconds
            )
            for voice in voices
        ]
        heard = log_mel(torch.stack(clips), STYLE_FFT, mel_stats)
        with torch.autocast("cpu", torch.bfloat16):
            styles = gpt.get_style_emb(heard).transpose(1, 2)
            text_loss, code_loss, word_loss = gpt_losses(gpt, batch, styles)
        return code_loss + cfg.gpt.text_weight * text_loss + cfg.gpt.word_weight * word_loss

    key = code_key(
        train_gpt, gpt_losses, word_loss_of, word_numbers, words_said, mishear, pad, spell,
        sort_lines, reference, build_tokenizer, cfg.gpt, cfg.dvae, cfg.speech,
    )  # fmt: skip
    seconds = fit(
        "gpt", {"gpt": gpt}, loss, steps=cfg.gpt.steps, lr=cfg.gpt.lr, decay=cfg.gpt.decay,
        seed=cfg.speech.seed, scratch=rt.scratch("xtts_mini_gpt", key),
        save_seconds=cfg.save_seconds, rt=rt,
    )  # fmt: skip
    return gpt.eval().requires_grad_(False), seconds


def sort_lines(cfg: XttsMini, corpus: Corpus, codes: list["torch.Tensor"]) -> list[tuple[int, ...]]:
    """Training examples (indices of utterances) sorted by length: single ones, and pairs of a voice.

    Pairs teach the language model to continue after a full stop, and train positions that no single
    sentence reaches.
    """
    rng = np.random.default_rng(cfg.speech.seed)
    lines: list[tuple[int, ...]] = [(at,) for at in range(len(codes))]
    for _ in range(round(cfg.gpt.pairs * len(codes))):
        one = int(rng.integers(len(codes)))
        other = int(rng.choice(np.flatnonzero(corpus.voices == corpus.voices[one])))
        lines.append((one, other))
    return sorted(lines, key=lambda line: (sum(len(codes[at]) for at in line), line))


def spellings(tokenizer: Any) -> dict[int, list[int]]:
    """For each token of several letters, the tokens of its letters."""
    vocabulary = tokenizer.tokenizer.get_vocab()
    words = {name: id for name, id in vocabulary.items() if name.isalpha() and len(name) > 1}
    return {id: [vocabulary[letter] for letter in name] for name, id in words.items()}


def spell(
    ids: list[int], letters: dict[int, list[int]], share: float, rng: np.random.Generator
) -> list[int]:
    """Replace a random share of the words by their letters, as an unknown word will be tokenized."""
    chosen = rng.random(len(ids)) < share
    parts = (letters.get(id, [id]) if own else [id] for id, own in zip(ids, chosen, strict=True))
    return list(itertools.chain.from_iterable(parts))


def reference(rows: Sequence[int] | np.ndarray, corpus: Corpus, seconds: float) -> "torch.Tensor":
    """Concatenate the given utterances and cut or repeat them to `seconds`: (N,) at INPUT_RATE."""
    length = round(seconds * INPUT_RATE)
    samples = np.concatenate([corpus.inputs[at] for at in rows])
    return as_tensor(np.resize(samples, length))


def mishear(codes: "torch.Tensor", share: float, rng: np.random.Generator) -> "torch.Tensor":
    """Replace a random share of the codes (n,) by random ones.

    The previous codes predict the next one so well that the model could ignore the text. When they
    are unreliable it must read the text; dropout in Tacotron's prenet has the same effect (Shen et
    al. 2018, arXiv 1712.05884).
    """
    import torch

    wrong = torch.from_numpy(rng.random(len(codes)) < share)
    return torch.where(wrong, torch.from_numpy(rng.integers(CODES, size=len(codes))), codes)


def word_numbers(ids: "torch.Tensor", tokenizer: Any) -> "torch.Tensor":
    """The index of the word that each text token belongs to, (tokens,).

    A sentence is "[en]green[SPACE]shoes.", two are "[en]green[SPACE]shoes.[en]it[SPACE]...".
    """
    import torch

    vocabulary = tokenizer.tokenizer.get_vocab()
    starts = torch.tensor([vocabulary["[SPACE]"], vocabulary[f"[{LANGUAGE}]"]])
    return torch.isin(ids, starts).cumsum(0) - 1


def words_said(row: Sequence[int], corpus: Corpus, codes: list["torch.Tensor"]) -> "torch.Tensor":
    """The index of the word spoken at each code of these utterances, and at their end: (codes + 1,)."""
    import torch

    numbers, before = [], 0
    for at in row:
        middles = (np.arange(len(codes[at])) + 0.5) * CODE / INPUT_RATE
        last = len(corpus.ends[at]) - 1
        numbers.append(np.searchsorted(corpus.ends[at], middles).clip(max=last) + before)
        before += last + 1
    return torch.from_numpy(np.append(np.concatenate(numbers), before - 1))


def gpt_losses(
    gpt: Any, batch: Batch, styles: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Mean cross-entropies of the next text token, of the next code, and of the word being spoken.

    The third supervises one attention head, whose weights are read as probabilities of the words:
    a small model speaks fluently long before it learns to follow its text, and this loss teaches it
    where in the text to look (supervised attention: Liu et al. 2016, arXiv 1609.04186; guided
    attention in speech synthesis: Tachibana et al. 2017, arXiv 1710.08969).

    Coqui's own loss masks the conditioning of the last row only, and trains on sequences that
    generation does not produce. Here each row has its own mask, and its inputs are those that
    `GPT.generate` uses. No code is masked, because reference clips are never the target speech.

    Args:
        gpt: Coqui's `GPT`.
        batch: the training batch.
        styles: conditioning latents (voices, 32, width).
    """
    import torch
    import torch.nn.functional as functional

    attention: list[torch.Tensor] = []
    # A middle layer: those before it can recognise words, those after it can speak them.
    block = gpt.gpt.h[(len(gpt.gpt.h) - 1) // 2]
    hook = block.attn.register_forward_hook(lambda *made: attention.append(made[2][1]))
    start, stop = gpt.start_text_token, gpt.stop_text_token
    text_inputs, text_mask = pad(
        [functional.pad(t, (1, 0), value=start) for t in batch.texts], stop, 1
    )
    text_targets, _ = pad([functional.pad(t, (0, 1), value=stop) for t in batch.texts], IGNORE, 1)
    code_inputs, code_mask = pad(
        [functional.pad(c, (1, 0), value=START_CODE) for c in batch.heard], STOP_CODE
    )
    code_targets, _ = pad([functional.pad(c, (0, 1), value=STOP_CODE) for c in batch.codes], IGNORE)
    text_latents, code_latents = gpt.get_logits(
        gpt.text_embedding(text_inputs) + gpt.text_pos_embedding(text_inputs), None,
        gpt.mel_embedding(code_inputs) + gpt.mel_pos_embedding(code_inputs), None,
        prompt=styles[batch.styles], return_latent=True, attn_mask_text=text_mask,
        attn_mask_mel=code_mask,
    )  # fmt: skip
    hook.remove()
    text_logits, code_logits = gpt.text_head(text_latents), gpt.mel_head(code_latents)
    text_loss, code_loss = (
        functional.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE
        )
        for logits, targets in ((text_logits, text_targets), (code_logits, code_targets))
    )
    words, _ = pad([functional.pad(own, (1, 0), value=IGNORE) for own in batch.words], IGNORE, 1)
    said, _ = pad(batch.said, IGNORE)
    first = styles.shape[1]
    looked = attention[0][:, 0, -said.shape[1] :, first : first + words.shape[1]]
    return text_loss, code_loss, word_loss_of(looked, words, said)


def word_loss_of(
    looked: "torch.Tensor", words: "torch.Tensor", said: "torch.Tensor"
) -> "torch.Tensor":
    """Mean negative log of the attention weight on the word being spoken.

    Args:
        looked: attention weights (rows, codes, text tokens).
        words: index of the word that each text token belongs to (rows, text tokens).
        said: index of the word being spoken at each code (rows, codes).
    """
    found = (looked.float() * (said[:, :, None] == words[:, None])).sum(-1)
    return -(found[said != IGNORE] + 1e-4).log().mean()


def pad(
    rows: list["torch.Tensor"], value: int, more: int = 0
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Pad rows to the longest length plus `more`. Returns (rows, length) and a mask of valid places.

    The first `more` padding values of a row count as valid, because the text ends with a stop token
    in generation too.
    """
    import torch

    width = max(map(len, rows)) + more
    padded = torch.full((len(rows), width), value)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
        mask[number, : len(row) + more] = True
    return padded, mask


# --- the decoder --------------------------------------------------------------------------------


def train_decoder(
    cfg: XttsMini, decoder: Any, gpt: Any, tokenizer: Any, corpus: Corpus,
    codes: list["torch.Tensor"], mel_stats: "torch.Tensor", rt: Runtime,
) -> float:  # fmt: skip
    """Train the waveform decoder on the GPT's latents. Returns the training time in seconds."""
    import torch

    torch.manual_seed(cfg.speech.seed)
    corpus, codes = first_utterances(corpus, codes, cfg.decoder.utterances)
    latents = latents_of(gpt, tokenizer, corpus, codes, mel_stats, rt)
    embeddings = embed_speakers(decoder.speaker_encoder, corpus, rt)
    by_voice = [np.flatnonzero(corpus.voices == v) for v in range(len(cfg.speech.voices))]
    usable = np.flatnonzero([len(own) >= cfg.decoder.window for own in latents])
    model = decoder.waveform_decoder.train()
    distance = spectral_distance()
    scale = CODE * RATE / INPUT_RATE  # samples at RATE per code

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        inputs, waves, voices = [], [], []
        for at in rng.choice(usable, size=cfg.decoder.batch):
            first = int(rng.integers(len(latents[at]) - cfg.decoder.window + 1))
            inputs.append(latents[at][first : first + cfg.decoder.window])
            # The last latent is that of the stop token, which stands for silence.
            whole = np.pad(corpus.waves[at], (0, 2 * CODE))
            waves.append(
                as_tensor(whole[round(first * scale) :][: round(cfg.decoder.window * scale)])
            )
            voices.append(embeddings[rng.choice(by_voice[corpus.voices[at]])])
        heard, embedding = torch.stack(inputs).float(), torch.stack(voices)
        with torch.autocast("cpu", torch.bfloat16):
            made = decoder(heard, g=embedding)
        made, meant = made.float().squeeze(1), torch.stack(waves)
        return distance(made, meant[:, : made.shape[1]])

    key = code_key(
        train_decoder, first_utterances, latents_of, spectral_distance, build_decoder, cfg.decoder,
        cfg.speakers, cfg.gpt, cfg.dvae, cfg.speech,
    )  # fmt: skip
    seconds = fit(
        "decoder", {"decoder": model}, loss, steps=cfg.decoder.steps, lr=cfg.decoder.lr, decay=0.0,
        seed=cfg.speech.seed, scratch=rt.scratch("xtts_mini_decoder", key),
        save_seconds=cfg.save_seconds, rt=rt,
    )  # fmt: skip
    model.eval().requires_grad_(False)
    return seconds


def first_utterances(
    corpus: Corpus, codes: list["torch.Tensor"], count: int
) -> tuple[Corpus, list["torch.Tensor"]]:
    """The first `count` utterances of a corpus, in which voices alternate, and their codes."""
    first = {field.name: getattr(corpus, field.name)[:count] for field in fields(Corpus)}
    return Corpus(**first), codes[:count]


def latents_of(
    gpt: Any, tokenizer: Any, corpus: Corpus, codes: list["torch.Tensor"],
    mel_stats: "torch.Tensor", rt: Runtime,
) -> list["torch.Tensor"]:  # fmt: skip
    """Each utterance's latents (codes + 1, width) in half precision, as `Xtts.inference` has them."""
    import torch
    import torch.nn.functional as functional

    latents = []
    with torch.inference_mode():
        styles = []
        for voice in range(corpus.voices.max() + 1):
            clip = reference(np.flatnonzero(corpus.voices == voice)[:6], corpus, 6.0)
            styles.append(
                gpt.get_style_emb(log_mel(clip[None], STYLE_FFT, mel_stats)).transpose(1, 2)
            )
        rows = zip(corpus.texts, codes, corpus.voices, strict=True)
        for text, own, voice in rt.progress(rows, "latents", total=len(codes)):
            tokens = torch.tensor([tokenizer.encode(text, LANGUAGE)])
            stopped = functional.pad(own, (0, 1), value=STOP_CODE)[None]
            found = gpt(
                tokens, torch.tensor([tokens.shape[1]]), stopped,
                torch.tensor([stopped.shape[1] * CODE]), cond_latents=styles[voice],
                return_latent=True,
            )  # fmt: skip
            latents.append(found[0].half().clone())
    return latents


def spectral_distance() -> Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]:
    """A loss between the spectra of two batches of waveforms (N, samples) at RATE.

    It compares log-mels, which matter to listeners and speech recognisers, and short-time magnitudes
    at three resolutions (Parallel WaveGAN, arXiv 1910.11480). Phases are not compared.
    """
    import torch
    from torchaudio.transforms import MelSpectrogram

    mels = [
        MelSpectrogram(RATE, n_fft=fft, hop_length=fft // 4, n_mels=bands, power=1)
        for fft, bands in ((512, 40), (1024, 80), (2048, 100))
    ]
    windows = {fft: torch.hann_window(fft) for fft in (512, 1024, 2048)}

    def magnitudes(waves: "torch.Tensor", fft: int) -> "torch.Tensor":
        spectrum = torch.stft(waves, fft, fft // 4, window=windows[fft], return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square() + 1e-7).sqrt()

    def distance(made: "torch.Tensor", meant: "torch.Tensor") -> "torch.Tensor":
        total = made.new_zeros(())
        for mel in mels:
            logs = [(mel(waves) + 1e-3).log() for waves in (made, meant)]
            total = total + 2 * (logs[0] - logs[1]).abs().mean()
        for fft in windows:
            mine, other = magnitudes(made, fft), magnitudes(meant, fft)
            total = total + (mine - other).norm() / other.norm().clamp(min=1e-3)
            total = total + (mine.log() - other.log()).abs().mean()
        return total

    return distance


def save_speakers(cfg: XttsMini, folder: Path, corpus: Corpus) -> None:
    """Write `speakers_xtts.pth`: conditioning latents and embedding of each training voice, by name."""
    import torch

    model = load_xtts(folder)
    speakers = {}
    for number, voice in enumerate(cfg.speech.voices):
        audio = reference(np.flatnonzero(corpus.voices == number)[:6], corpus, 12.0)[None]
        with torch.inference_mode():
            latents = model.get_gpt_cond_latents(audio, INPUT_RATE, length=12, chunk_length=4)
            embedding = model.get_speaker_embedding(audio, INPUT_RATE)
        speakers[voice.name] = {
            "gpt_cond_latent": latents.clone(), "speaker_embedding": embedding.clone(),
        }  # fmt: skip
    save_tensors(folder / "speakers_xtts.pth", speakers)


CARD = """---
license: apache-2.0
library_name: coqui-tts
---
# xtts_mini

A small XTTS that reads a fashion catalogue aloud in English. Coqui's own classes load it
(`Xtts.load_checkpoint`) and speak with it (`Xtts.inference`). It stands in for XTTS-v2 where no model
hub can be reached, so that the whole lane runs and learns on a CPU. It knows {q[words]} words; others
it spells, and says badly.

- Data: {q[utterances]} sentences ({q[hours]} hours) of the sample narration's grammar
  (`narration.py`, with another seed), read by {voices}.
  Kokoro-82M and its voices, Japanese ones given English phonemes, are under the Apache License 2.0;
  eSpeak NG, which gives the phonemes, is under the GPL 3; Flite and its voices are free software
  (CMU, BSD-like). The voice of the sample narration is not among them.
- Codes: a DVAE of {cfg.dvae.hidden} channels, {cfg.dvae.plain_steps} steps as an autoencoder, its
  codebook started by k-means, {cfg.dvae.steps} steps with codes: {q[dvae_seconds]} s.
- Speaker encoder: tells the voices apart, each at several speeds of playback, {cfg.speakers.steps}
  steps: {q[speaker_seconds]} s. It was not trained on, nor by, what scores similarity.
- Language model: {cfg.gpt.layers} layers of {cfg.gpt.width}, {cfg.gpt.steps} steps of
  {cfg.gpt.batch}: {q[gpt_seconds]} s. One attention head is shown which word is being said, by the
  times that the voices' engines give.
- Decoder: a HiFi-GAN of {cfg.decoder.width} channels, spectral losses only, {cfg.decoder.steps} steps
  on the language model's latents: {q[decoder_seconds]} s. All on two CPU cores, from scratch.
- {q[test_n]} unseen sentences in the voice {q[voice]}, with the settings of `config.json` (the default
  repetition penalty of `inference`, 10, does not suit it): word error rate {q[wer]:.1%} by
  `{q[asr]}`, and {q[wer_hifigan]:.1%} by the HiFi-GAN; the voice's own readings have
  {q[wer_voice]:.1%}. {q[others_n]} more in the other voices, which read little: {q[wer_others]:.1%},
  their own readings {q[wer_other_voices]:.1%}.
- It hardly listens to references: the conditioning latents of its voices differ by
  {q[latents_apart]:.2%} of their norm, as one voice reads most. What it speaks in is decided by the
  codes.
- Similarity to the voice {q[similarity]} (`speaker_encoder`, cosine to the mean of its readings); its
  own readings have {q[similarity_voices]}, other voices' {q[similarity_others]}.
  {q[seconds_per_second]} s for a second of speech.
- Weights are in half precision, rounded to six bits of mantissa, in compressed archives. The decoder,
  the speaker encoder and the DVAE stand in the leading channels of Coqui's sizes; their other channels
  are zero.
"""


if __name__ == "__main__":
    run(main)
