"""The rows of the lane's manifests, from the catalogue to the failures."""

from typing import Annotated

from pydantic import Field

from likeness.common.manifest import Row

GENDERS = ("Men", "Women", "Unisex", "Boys", "Girls", "Kids")


class Product(Row):
    """A catalogue row: the ten columns, and any further ones under `extra` (`material`, …)."""

    gender: str
    masterCategory: str
    subCategory: str
    articleType: str
    baseColour: str
    season: str
    year: str
    usage: str
    productDisplayName: str
    extra: dict[str, str]

    def attributes(self) -> dict[str, str]:
        """Every attribute of the product by its column's name; the further columns with them."""
        values: dict[str, str] = self.model_dump(include=set(COLUMNS))
        return {**values, **self.extra}

    def brand(self) -> str:
        """What stands before the gender in the display name, as in "Nike Men Air Black Shoes"."""
        words = self.productDisplayName.split()
        ends = (at for at, word in enumerate(words) if word.removesuffix("'s") in GENDERS)
        return " ".join(words[: next(ends, 1)])


COLUMNS = tuple(name for name in Product.model_fields if name != "extra")


class PreparedImage(Product):
    """A row of the dataset's manifest: the product, its image, caption, split and group.

    Attributes:
        crop: the part of the photo that the image shows: left, top, right, bottom in the photo's pixels.
            It may reach beyond the photo, whose background goes on there.
    """

    file_name: str
    caption: str
    split: str
    group: str
    crop: Annotated[list[int], Field(min_length=4, max_length=4)]

    @property
    def original_size(self) -> int:
        """Pixels of each side of the image before it was scaled."""
        left, top, right, bottom = self.crop
        return max(right - left, bottom - top)


class SyntheticImage(Product):
    """A row of the synthetic dataset's manifest: the product that was asked for, and its image."""

    file_name: str
    prompt: str
    seed: int
    attempt: int
    clean_background: float
    cut_off: float
    coverage: float
    train_distance: float


class RecolouredImage(Product):
    """A row of the recoloured dataset's manifest: a real product in a colour that was asked for.

    Attributes:
        id: that of the product in the dataset, whose photo is `source` there.
        source_colour: the photo's colour; `baseColour` is the one that was asked for.
        colour: the colour whose prototype is nearest to the image's.
        overlap: intersection over union of the outlines of photo and image.
        edges_followed: share of the photo's edges that the image has, too.
    """

    file_name: str
    prompt: str
    seed: int
    source: str
    source_colour: str
    colour: str
    overlap: float
    edges_followed: float


class Description(Row):
    """What was written of a synthetic product, whose id it has."""

    title: str
    description: str
    seed: int
    attempt: int


class EvaluatedImage(Row):
    """One image of the per-image table.

    Attributes:
        set: `tuned`, `base`, `real` (the test split) or `autoencoder` (the same photos, encoded and
            decoded by the base).
        clip: 100 times the cosine of image and prompt.
        realism: Kynkäänniemi et al.'s realism score against the test split; 1 and up is inside it.
        train_distance: feature distance to the nearest train image.
        colour: the colour whose prototype is nearest; `colour_asked` is the prompt's.
    """

    set: str
    prompt: str
    clip: float
    realism: float
    train_distance: float
    colour: str
    colour_asked: str
    clean_background: float
    cut_off: float
    aspect: float
    sharpness: float


class FailedImage(Row):
    """One of the worst images: the scores that put it there, and its categories, gravest first."""

    file_name: str
    prompt: str
    low_in: list[str]
    categories: list[str]
    clip: float
    realism: float
