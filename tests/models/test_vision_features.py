"""ImageNet features: the right labels on known photos."""

from pathlib import Path

import numpy as np
import pytest
import skimage

from likeness.image.features import extract_batch

PHOTOS = Path(skimage.__file__).parent / "data"
# ImageNet classes: a tabby, tiger or Egyptian cat; espresso; a missile (a rocket on its pad).
LABELS = {"chelsea.png": {281, 282, 285}, "coffee.png": {967}, "rocket.jpg": {657}}


@pytest.mark.parametrize(
    "model", [pytest.param("vision_features", marks=pytest.mark.slow)], indirect=True
)
def test_known_photos_get_their_published_labels(model):
    results = extract_batch([PHOTOS / name for name in LABELS], extractor=model, device="cpu")
    for result, right in zip(results, LABELS.values(), strict=True):
        values = np.frombuffer(result.files["vector.f32"], np.float32)
        assert len(values) == 1280 + 1000
        assert int(values[1280:].argmax()) in right
