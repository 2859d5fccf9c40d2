"""Compares tuned and base images with real test images.

Two bounds stand beside them: real train images, and real images that went through the base's
autoencoder alone, which an adapter of the denoiser cannot be expected to beat.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.estimates import Array, Estimate, mean
from likeness.common.io import write_json
from likeness.common.items import Stored, map_all
from likeness.common.manifest import read_manifest, write_manifest
from likeness.common.needs import check_needs
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.common.sampling import evenly
from likeness.image import fidelity
from likeness.image.adapters import count_values, folder_names, read_adapters
from likeness.image.autoencoder import reconstruct
from likeness.image.clip import embed_images, embed_texts, load_clip
from likeness.image.extract import Features, extract
from likeness.image.features import extractor_kind
from likeness.image.measure import measure_all
from likeness.image.needs import ADVICE, LEAST, NEEDS
from likeness.image.quality import Measures, colour_prototypes, nearest_colour
from likeness.image.rows import EvaluatedImage, PreparedImage, SyntheticImage
from likeness.image.subgroups import Drawn, compare_values


class ImageEvaluate(Section):
    rounds: Annotated[int, Field(ge=10, le=10000)]
    neighbours: Annotated[int, Field(ge=1, le=50)]
    min_clean_background: Annotated[float, Field(ge=0, le=1)]
    copy_quantile: Annotated[float, Field(gt=0, lt=1)]
    classify: str


@dataclass
class ImageSet:
    """Images of one origin: paths, prompts and asked-for attributes by id, and what was measured."""

    paths: dict[str, Path]
    prompts: dict[str, str]
    products: dict[str, dict[str, str]]
    features: Features
    measures: dict[str, Measures]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def vectors(self) -> Array:
        return self.features.vectors

    def values(self, attribute: str) -> list[str]:
        """Each image's value of an attribute; empty where it has none."""
        return [product.get(attribute, "") for product in self.products.values()]


def evaluate(
    cfg: ImageEvaluate,
    *,
    dataset: Path,
    generated: Path,
    base: Path,
    adapter: Path,
    extractor: Path,
    clip: Path,
    out_dir: Path,
    plots_dir: Path,
    intervals: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Measure tuned, base and real images; every figure comes with its interval and its n.

    Distances between sets compare `n` images with `n` test images, where n is the same for `tuned`,
    `base`, `floor` (train images against test images) and `autoencoder` (the same train images, but
    encoded and decoded by the base): such distances depend on n. The figures of single images are
    those of the test images, as they are (`real`) and encoded and decoded. Writes the
    per-image table (`manifest.jsonl`) to `out_dir`, grids to `plots_dir`, and each figure's value, 95 %
    interval and n to `intervals`; the values alone are the stage's metrics. Where image_generate has
    drawn prompts with adapters of values and with the one for all, `compare_values` adds `own_*`,
    `shared_*` and `difference_*`.

    Raises:
        LikenessError: an image has no row or a row no image, or the sets are too small.
    """
    rows = read_manifest(dataset / "manifest.jsonl", PreparedImage)
    tuned_rows = read_manifest(generated / "manifest.jsonl", SyntheticImage)
    asked = {row.id: row for row in tuned_rows}
    base_paths, own_paths, shared_paths = (
        {path.stem: path for path in sorted((generated / folder).glob("*.png"))}
        for folder in ("base", "own", "shared")
    )
    _check_pairs(generated, asked, base_paths)
    if unpaired := sorted((set(own_paths) ^ set(shared_paths)) | set(own_paths) - set(asked)):
        raise LikenessError(
            f"{generated}: {unpaired[0]} is not in own/, shared/ and manifest.jsonl alike; run "
            "image_generate again"
        )

    def gather(paths: dict[str, Path], prompts: dict[str, str], products: Any) -> ImageSet:
        return ImageSet(
            paths,
            prompts,
            products,
            extract(paths, extractor=extractor, rt=rt),
            measure_all(paths, rt),
        )

    real = {
        split: gather(
            {row.id: dataset / row.file_name for row in rows if row.split == split},
            {row.id: row.caption for row in rows if row.split == split},
            {row.id: row.attributes() for row in rows if row.split == split},
        )
        for split in ("train", "test")
    }
    tuned = gather(
        {row.id: generated / row.file_name for row in tuned_rows},
        {row.id: row.prompt for row in tuned_rows},
        {row.id: row.attributes() for row in tuned_rows},
    )

    def gather_drawn(paths: dict[str, Path]) -> ImageSet:
        """Images of the same prompts, without the rules."""
        return gather(
            paths,
            {name: asked[name].prompt for name in paths},
            {name: asked[name].attributes() for name in paths},
        )

    untuned = gather_drawn(base_paths)
    check_needs(str(dataset), NEEDS, {split: len(images) for split, images in real.items()}, ADVICE)
    n = min(len(images) for images in (tuned, untuned, *real.values()))
    if n < LEAST:
        raise LikenessError(
            f"{generated}: {n} images of the base or the tuned model, and {LEAST} can be compared; "
            "raise image_generate.count or image_generate.baseline"
        )
    if n < 2 * cfg.neighbours:
        rt.log(f"image_evaluate: with {n} images neighbours is {n // 2}, not {cfg.neighbours}")
        cfg = cfg.model_copy(update={"neighbours": n // 2})
    decoded = {}
    for split, images in real.items():
        stored = map_all(
            partial(reconstruct, base=base, device=rt.device),
            images.paths,
            problem="cannot be encoded and decoded",
            what="image_autoencoder",
            rt=rt,
            batch=8,
        )
        paths = {name: item.folder / "image.png" for name, item in stored.items()}
        decoded[split] = gather(paths, images.prompts, images.products)
    scores = Scores(cfg, real["train"], real["test"], rt.seed)
    pools = {
        "tuned": tuned,
        "base": untuned,
        "autoencoder": decoded["train"],
        "floor": real["train"],
    }
    found = _set_estimates(scores, extractor_kind(extractor), pools)
    sets = {"tuned": tuned, "base": untuned, "autoencoder": decoded["test"], "real": real["test"]}
    cosines = {}
    for name, images in sets.items():
        pictures, texts = clip_scores(images.paths, images.prompts, clip=clip, rt=rt)
        cosines[name] = 100 * (pictures * texts).sum(1)
        found[f"{name}_clip"] = scores.mean(cosines[name])
        if name == "real":
            # Each image with the caption of another one: the score of captions that do not fit.
            others = np.roll(texts, len(texts) // 2, axis=0)
            found["shuffled_clip"] = scores.mean(100 * (pictures * others).sum(1))
    tables = {name: scores.table(name, images, cosines[name]) for name, images in sets.items()}
    for name, table in tables.items():
        found |= scores.image_estimates(name, table)
    found |= scores.trained_on(real["train"], tuned)
    test_n = {}
    if own_paths:
        attribute = read_adapters(adapter).attribute
        names = folder_names(count_values(rows, attribute))
        own, shared = gather_drawn(own_paths), gather_drawn(shared_paths)
        drawn = {}
        for name, images in (("own", own), ("shared", shared)):
            pictures, texts = clip_scores(images.paths, images.prompts, clip=clip, rt=rt)
            table = scores.table(name, images, 100 * (pictures * texts).sum(1))
            drawn[name] = Drawn(images.vectors, table)
        values = own.values(attribute)
        found |= compare_values(
            **drawn,
            values=values,
            real=real["test"].vectors,
            real_values=real["test"].values(attribute),
            names=names,
            distance=distance_names(extractor_kind(extractor))[1],
            rounds=cfg.rounds,
            seed=rt.seed,
        )
        photos = Counter(real["test"].values(attribute))
        test_n = {f"test_n_{names[value]}": photos[value] for value in sorted(set(values))}
        _value_sheet(plots_dir / "per.png", attribute, real["test"], shared, own)
    found = {name: estimate.rounded() for name, estimate in found.items()}

    evaluated = [row for table in tables.values() for row in table]
    _grids(plots_dir, real["test"], tuned, untuned, adapter)
    _plot_estimates(plots_dir, found, tables)
    write_json(intervals, {name: asdict(estimate) for name, estimate in found.items()})
    write_manifest(out_dir / "manifest.jsonl", evaluated)
    return {
        "extractor": extractor_kind(extractor),
        "clip_model": clip.name,
        "distance_n": found["tuned_precision"].n,
        **{f"{name}_n": len(images) for name, images in sets.items()},
        **test_n,
        **{name: estimate.value for name, estimate in found.items()},
    }


def _check_pairs(
    generated: Path, asked: Mapping[str, SyntheticImage], base_paths: Mapping[str, Path]
) -> None:
    files = {path.stem for path in (generated / "images").glob("*.png")}
    for name in sorted(files ^ set(asked)):
        raise LikenessError(
            f"{generated}: {name} has {'no prompt in manifest.jsonl' if name in files else 'no image'}; "
            "run image_generate again"
        )
    for name in sorted(set(base_paths) - set(asked)):
        raise LikenessError(
            f"{generated / 'base'}: {name} has no prompt in manifest.jsonl; run image_generate again"
        )
    if not base_paths:
        raise LikenessError(
            f"{generated / 'base'}: no images of the base; set image_generate.baseline to 50 or more"
        )


def clip_scores(
    images: Mapping[str, Path], captions: Mapping[str, str], *, clip: Path, rt: Runtime
) -> tuple[Array, Array]:
    """Image and caption embeddings, (N, D) each with unit rows, in the order of `images`.

    The CLIP score of a pair is 100 times their product (CLIPScore of Hessel et al. 2021, without its
    2.5 and its floor at 0).

    Raises:
        LikenessError: an image has no caption or a caption no image, or `clip` cannot be loaded.
    """
    unpaired = sorted(set(images) ^ set(captions))
    if unpaired:
        raise LikenessError(
            f"CLIP score: {unpaired[0]} has no image-caption pair; both must be there"
        )
    load_clip(clip, rt.device)
    of_image, of_text = (
        map_all(
            partial(function, clip=clip, device=rt.device),
            items,
            problem="no CLIP score",
            what=what,
            rt=rt,
            batch=batch,
        )
        for function, items, what, batch in (
            (embed_images, images, "image_clip", 32),
            (
                embed_texts,
                {text: text for text in sorted(set(captions.values()))},
                "image_clip_text",
                64,
            ),
        )
    )
    return (
        np.stack([_vector(of_image[name]) for name in images]),
        np.stack([_vector(of_text[captions[name]]) for name in images]),
    )


def _vector(stored: Stored) -> Array:
    return np.frombuffer(stored.read("vector.f32"), np.float32)


class Scores:
    """The lane's figures, all against one test split and one train split."""

    def __init__(self, cfg: ImageEvaluate, train: ImageSet, test: ImageSet, seed: int) -> None:
        self.cfg, self.train, self.test, self.seed = cfg, train, test, seed
        self.prototypes = colour_prototypes(
            [product["baseColour"] for product in train.products.values()],
            np.array([measures.lab for measures in train.measures.values()]),
        )
        k = min(cfg.neighbours, len(test) - 1)
        within = fidelity.distances(test.vectors, test.vectors)
        self.radii = np.sort(within, axis=1)[:, k]
        self.test_distances = fidelity.nearest(test.vectors, train.vectors)

    def mean(self, values: Array) -> Estimate:
        return mean(values, self.cfg.rounds, self.seed)

    def subset(self, pool: ImageSet, n: int, measure: Any) -> Estimate:
        """`measure` of the vectors of random subsets of `pool` and of the test split's n images."""
        rng = np.random.default_rng(self.seed)
        chosen = np.sort(rng.choice(len(self.test), n, replace=False))
        reference = self.test.vectors[chosen]
        return fidelity.subset_estimate(
            lambda rows: float(measure(pool.vectors[rows], reference)),
            len(pool),
            n,
            self.cfg.rounds,
            self.seed,
        )

    def table(self, name: str, images: ImageSet, clip: Array) -> list[EvaluatedImage]:
        """Per-image rows. A real image is not its own neighbour, nor that of its decoded copy."""
        to_test = fidelity.distances(images.vectors, self.test.vectors)
        own = np.array(list(images.paths))[:, None] == np.array(list(self.test.paths))
        to_test[own] = np.inf
        realism = (self.radii[None] / np.maximum(to_test, 1e-9)).max(1)
        train_distances = fidelity.nearest(images.vectors, self.train.vectors)
        rows = []
        for at, identity in enumerate(images.paths):
            found = images.measures[identity]
            rows.append(
                EvaluatedImage(
                    id=f"{name}/{identity}",
                    set=name,
                    prompt=images.prompts[identity],
                    clip=round(float(clip[at]), 4),
                    realism=round(float(realism[at]), 4),
                    train_distance=round(float(train_distances[at]), 4),
                    colour=nearest_colour(found.lab, self.prototypes),
                    colour_asked=images.products[identity]["baseColour"],
                    clean_background=round(found.clean_background, 4),
                    cut_off=round(found.cut_off, 4),
                    aspect=round(found.aspect, 4),
                    sharpness=round(found.sharpness, 3),
                )
            )
        return rows

    def image_estimates(self, name: str, table: Sequence[EvaluatedImage]) -> dict[str, Estimate]:
        """Shares and means over a per-image table."""
        limit = float(np.quantile(self.test_distances, self.cfg.copy_quantile))
        coloured = [row for row in table if row.colour_asked] or table
        columns = {
            "colour_agreement": [row.colour == row.colour_asked for row in coloured],
            "clean_background": [
                row.clean_background >= self.cfg.min_clean_background for row in table
            ],
            "realism": [min(row.realism, 10.0) for row in table],
            "sharpness": [row.sharpness for row in table],
            "copy_share": [row.train_distance < limit for row in table],
        }
        return {
            f"{name}_{column}": self.mean(np.array(values, np.float64))
            for column, values in columns.items()
        }

    def trained_on(self, train: ImageSet, synthetic: ImageSet) -> dict[str, Estimate]:
        """Accuracy on real test images of a classifier trained on real, and on synthetic, images.

        The classification accuracy score of Ravuri and Vinyals (2019), with logistic regression on
        the extractor's features, and as many real images as synthetic ones.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        def labels(images: ImageSet) -> Array:
            return np.array([product[self.cfg.classify] for product in images.products.values()])

        known = next(iter(train.products.values()))
        if self.cfg.classify not in known:
            raise LikenessError(
                f"params.yaml: image_evaluate.classify: no attribute {self.cfg.classify!r}; known are "
                f"{', '.join(known)}"
            )
        n = min(len(train), len(synthetic))
        found: dict[str, Estimate] = {}
        for name, images in (("real", train), ("synthetic", synthetic)):
            rows = np.random.default_rng(self.seed).choice(len(images), n, replace=False)
            wanted = labels(images)[rows]
            if len(set(wanted)) < 2:  # of one value there is nothing to be told apart
                found[f"trained_on_{name}_accuracy"] = self.mean(np.empty(0))
                continue
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
            model.fit(images.vectors[rows], wanted)
            right = model.predict(self.test.vectors) == labels(self.test)
            found[f"trained_on_{name}_accuracy"] = self.mean(right.astype(np.float64))
        return found


def distance_names(kind: str) -> tuple[str, str]:
    """What Fréchet and kernel distance are called: FID and KID are defined with InceptionV3 alone."""
    return ("fid", "kid") if kind == "inception_v3" else ("frechet", "kernel")


def _set_estimates(scores: Scores, kind: str, pools: Mapping[str, ImageSet]) -> dict[str, Estimate]:
    """Distances and neighbourhood figures of each set to the test split, at one n for all."""
    distances = dict(zip(distance_names(kind), (fidelity.frechet, fidelity.kernel), strict=True))
    n = min(len(scores.test), *map(len, pools.values()))
    k = scores.cfg.neighbours
    found: dict[str, Estimate] = {}
    for name, pool in pools.items():
        for metric, measure in distances.items():
            found[f"{name}_{metric}"] = scores.subset(pool, n, measure)
        for metric in ("precision", "recall", "density", "coverage"):
            found[f"{name}_{metric}"] = scores.subset(
                pool, n, lambda made, real, metric=metric: fidelity.prdc(real, made, k)[metric]
            )
        found[f"{name}_diversity"] = scores.subset(
            pool, n, lambda made, _: fidelity.diversity(made)
        )
        classes = pool.features.probabilities
        if classes.shape[1]:

            def score(rows: Array, classes: Array = classes) -> float:
                return fidelity.inception(classes[rows])

            found[f"{name}_inception"] = fidelity.subset_estimate(
                score, len(pool), n, scores.cfg.rounds, scores.seed
            )
    return found


def _grids(
    plots_dir: Path,
    real: ImageSet,
    tuned: ImageSet,
    base: ImageSet,
    adapter: Path,
) -> None:
    def pictures(images: ImageSet, names: Sequence[str]) -> list[Image.Image]:
        return [Image.open(images.paths[name]).convert("RGB") for name in names]

    def spread(images: ImageSet, count: int) -> list[str]:
        names = sorted(images.paths, key=lambda name: images.prompts[name])
        return evenly(names, count)

    halves = []
    for images, colour in ((real, figures.INK), (tuned, figures.ACCENT)):
        frames = [
            ImageOps.expand(picture, 2, colour) for picture in pictures(images, spread(images, 50))
        ]
        halves.append(frames + [Image.new("RGB", (8, 8), "white")] * (50 - len(frames)))
    rows = [half[at : at + 5] for at in range(0, 50, 5) for half in halves]
    figures.contact_sheet(
        plots_dir / "real_and_synthetic.png",
        [picture for row in rows for picture in row],
        columns=10,
        size=80,
    )
    colours = sorted({product["baseColour"] for product in tuned.products.values()})
    cells, labels = [], []
    for colour in colours:
        for name, images in (("real", real), ("tuned", tuned), ("base", base)):
            members = [key for key, row in images.products.items() if row["baseColour"] == colour]
            cells += pictures(images, members[:4])
            cells += [Image.new("RGB", (8, 8), "white")] * (4 - len(members[:4]))
            labels += [f"{name} {colour}"] * 4
    figures.contact_sheet(plots_dir / "by_colour.png", cells, columns=12, size=72, labels=labels)
    sheets = sorted((adapter / "samples").glob("*.png"))
    shown = [sheets[at * (len(sheets) - 1) // 3] for at in range(4)] if len(sheets) > 3 else sheets
    figures.contact_sheet(
        plots_dir / "training.png",
        [Image.open(path) for path in shown],
        columns=2,
        size=420,
        labels=[f"step {int(path.stem)}" for path in shown],
    )


def _value_sheet(
    path: Path, attribute: str, real: ImageSet, shared: ImageSet, own: ImageSet
) -> None:
    """For each value a row of real photos, and of the same prompts by either adapter."""
    cells: list[Image.Image] = []
    labels: list[str] = []
    for value in sorted(set(own.values(attribute))):
        for name, images in (("real", real), ("shared", shared), ("own", own)):
            members = [key for key, row in images.products.items() if row.get(attribute) == value]
            shown = [Image.open(images.paths[key]).convert("RGB") for key in members[:8]]
            cells += shown + [Image.new("RGB", (8, 8), "white")] * (8 - len(shown))
            labels += [f"{name} {value}"] * 8
    figures.contact_sheet(path, cells, columns=8, size=96, labels=labels)


def _plot_estimates(
    plots_dir: Path, found: Mapping[str, Estimate], tables: Mapping[str, Sequence[EvaluatedImage]]
) -> None:
    distance = "fid" if "tuned_fid" in found else "frechet"
    shown = [distance, "precision", "recall", "coverage"]
    with figures.figure(plots_dir / "distances.png", 1, len(shown), (11, 2.6)) as axes:
        for axis, metric in zip(axes, shown, strict=True):
            for name in ("base", "tuned", "autoencoder", "floor"):
                estimate = found[f"{name}_{metric}"]
                colour = figures.ACCENT if name == "tuned" else figures.QUIET
                low, value, high = np.array([estimate.low, estimate.value, estimate.high], float)
                # Of identical values, the mean can lie outside their interval by a rounding error.
                error = [[max(0.0, value - low)], [max(0.0, high - value)]]
                axis.bar(name, value, color=colour, yerr=error, capsize=4)
            axis.set_title(f"{metric} (n={found[f'tuned_{metric}'].n})")
            axis.tick_params(axis="x", labelsize=7)
    with figures.figure(plots_dir / "per_image.png", 1, 3, (11, 2.8)) as axes:
        for axis, column in zip(axes, ("clip", "realism", "sharpness"), strict=True):
            for name, colour in (
                ("base", figures.QUIET),
                ("tuned", figures.ACCENT),
                ("real", figures.INK),
            ):
                values = [min(getattr(row, column), 60.0) for row in tables[name]]
                axis.hist(values, bins=30, density=True, histtype="step", color=colour, label=name)
            axis.set_title(column)
        axes[0].legend(frameon=False)
