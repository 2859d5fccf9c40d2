"""The small CLIP: its tokenizer, how it loads, and what it can tell."""

from collections import Counter

import numpy as np
import pytest

from likeness.common.io import read_json
from likeness.common.params import load_params
from likeness.image.pixels import fit_square
from models.clip_mini import learn_merges
from models.render import draw_product, sample_products
from models.settings import ROOT, SCHEMA, ClipMini

clip_mini = pytest.mark.parametrize(
    "model", [pytest.param("clip_mini", marks=pytest.mark.slow)], indirect=True
)


def test_merges_join_the_commonest_neighbours_first():
    merges = learn_merges(Counter({"red": 5, "read": 1}), 10)
    assert merges[0] == ("r", "e")
    assert ("re", "d</w>") in merges
    assert len(merges) == len(set(merges))


def test_merges_stop_when_words_are_whole():
    assert len(learn_merges(Counter({"ab": 3}), 100)) == 1


@clip_mini
def test_tokenizer_reads_any_text(model):
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(model)
    ids = tokenizer("Red Shoes", padding="max_length", truncation=True).input_ids
    assert len(ids) == tokenizer.model_max_length == 77
    assert ids[0] == tokenizer.bos_token_id
    assert ids[3] == ids[-1] == tokenizer.eos_token_id
    for text in ("naïve 靴 👟", "x" * 500, "", "a\nb\t<tag> & 'quotes'"):
        ids = tokenizer(text, truncation=True).input_ids
        assert 2 <= len(ids) <= 77
        assert tokenizer.eos_token_id not in ids[1:-1]


@clip_mini
def test_captions_are_a_token_a_word(model):
    from transformers import CLIPTokenizer

    cfg = load_params(ROOT / "models" / "params.yaml", SCHEMA, ClipMini)
    words = cfg.renders.captions.template.replace("{", "").replace("}", "").replace(",", " ,")
    template = words.replace("baseColour", "Navy Blue").replace("articleType", "Casual Shoes")
    template = template.replace("season", "Summer").replace("gender", "Women")
    tokens = CLIPTokenizer.from_pretrained(model).tokenize(template)
    assert len(tokens) == len(template.split())


@clip_mini
def test_it_knows_type_and_colour_of_new_photos(model):
    import torch
    from transformers import CLIPModel, CLIPProcessor

    network = CLIPModel.from_pretrained(model, dtype=torch.float32).eval()
    processor = CLIPProcessor.from_pretrained(model)
    products = sample_products(20, seed=999, balanced=True)
    photos = [fit_square(draw_product(p, 999, supersample=1), 64, 0.1) for p in products]
    texts = [f"A photo of {p.baseColour} {p.articleType}, {p.gender}" for p in products]
    names = sorted(set(texts))
    inputs = processor(text=names, images=photos, return_tensors="pt", padding=True)
    assert inputs.pixel_values.shape == (20, 3, 64, 64)
    with torch.inference_mode():
        best = network(**inputs).logits_per_image.argmax(1)
    found = [names[int(k)].split(",")[0] for k in best]
    right = [text.split(",")[0] for text in texts]
    assert np.mean([a == b for a, b in zip(found, right, strict=True)]) >= 0.8


@clip_mini
def test_quality_is_stated_and_good(model):
    quality = read_json(model / "quality.json")
    assert quality["n"] >= 500
    assert quality["zero_shot_articleType"] >= 0.95
    assert quality["zero_shot_baseColour"] >= 0.95
