"""What recipes of every method say alike: which photos and captions, and how the optimiser goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from linmap.errors import RecipeError
from linmap.recipes.ranges import above_zero, at_least, at_most, one_of, share

__all__ = ["DTYPES", "FORMATS", "STORED", "STREAMED", "WITHOUT_FOLDER", "CaptionedPhotosRecipe", "OptimiserRecipe"]

DTYPES = ("float32", "bfloat16", "float16")
FORMATS = ("flickr8k", "coco", "karpathy", "nocaps", "magma", "datasets")
STREAMED = "webdataset"
STORED = "features"
WITHOUT_FOLDER = ("magma", "datasets", STREAMED, STORED)
WITHOUT_SPLITS = ("magma", STREAMED)
SCHEDULES = ("cosine", "linear", "constant")
LARGEST_SEED = 2**32 - 1  # of NumPy


@dataclass(frozen=True, kw_only=True)
class CaptionedPhotosRecipe:
    """Which photos and captions, and what is done to them before training.

    Args:
        captions: Captions file; for `format: datasets` the name or folder of a dataset, for `magma` a folder, for
            `webdataset` a folder of shards or a pattern such as `cc3m/{00000..00331}.tar`, for `features` a folder
            that `linmap features extract` wrote. Relative to where the command runs.
        images: Folder of the photos (not used by `datasets`, `magma` and `webdataset`; of `features` only the photos
            of samples.md are looked for there).
        format: `flickr8k` (one JSON list with file, captions, split), `coco` (captions JSON), `karpathy` (JSON of
            images with sentences and split), `nocaps` (its JSON), `magma` (a JSON file for each photo, as MAGMA's code
            has it), `datasets`, or for a linear vision prefix `webdataset` (tar shards as img2dataset writes them,
            streamed) or `features` (encoded beforehand by the same encoder, which is then not loaded).
        train_split: Split to learn from. None takes all: a COCO file is one split, and `validation_captions` another.
            Shards and MAGMA's folders have no splits.
        validation_split: Split that chooses the weights to keep.
        validation_captions: Captions file of the validation split where it is another file.
        validation_images: Folder of its photos where it is another folder.
        image_column: Column of the photos (`format: datasets`).
        caption_column: Column of the captions, a text or a list of texts (`format: datasets`).
        lower_case: Lower-case the captions.
        strip_final_period: Drop a final full stop and the space before it.
        train_photos: Use only the first photos of the train split, for trials. None: all.
        unreadable_limit: Photos that may be unreadable and are then skipped, each named. 0 stops at the first.
        precompute_features: Run what goes through a frozen part through it once, before training. Keeps the features
            of all photos in memory. Not used by `features`, which stay on disk.
        feature_dtype: Number type of the precomputed features in memory and on disk.
        workers: Worker processes that decode photos while the model computes; 0: none. Of `webdataset` each reads
            shards of its own. Not used where features are precomputed.
    """

    formats: ClassVar[tuple[str, ...]] = FORMATS

    captions: str
    images: str | None = None
    format: str = "flickr8k"
    train_split: str | None = "train"
    validation_split: str | None = "val"
    validation_captions: str | None = None
    validation_images: str | None = None
    image_column: str = "image"
    caption_column: str = "caption"
    lower_case: bool = False
    strip_final_period: bool = False
    train_photos: int | None = None
    unreadable_limit: int = 0
    precompute_features: bool = True
    feature_dtype: str = "float16"
    workers: int = 0

    def __post_init__(self) -> None:
        one_of("data.format", self.format, self.formats)
        one_of("data.feature_dtype", self.feature_dtype, DTYPES)
        at_least("data.train_photos", self.train_photos, 1)
        at_least("data.unreadable_limit", self.unreadable_limit, 0)
        at_least("data.workers", self.workers, 0)
        if self.format in WITHOUT_SPLITS and (self.train_split, self.validation_split) != (None, None):
            raise RecipeError(
                f"data.format {self.format!r} has no splits: set data.train_split and data.validation_split to null, "
                "and name other photos as data.validation_captions."
            )
        if self.format not in WITHOUT_FOLDER and self.images is None:
            raise RecipeError(f"data.images is missing: format {self.format!r} needs the folder that holds the photos.")
        self._refuse_to_validate_on_training_photos()

    def _refuse_to_validate_on_training_photos(self) -> None:
        """Two splits of one source share photos when they are equal, or one of them takes all."""
        if self.validation_captions and Path(self.validation_captions).resolve() != Path(self.captions).resolve():
            return
        if self.train_split != self.validation_split and None not in (self.train_split, self.validation_split):
            return
        splits = [split or "null" for split in (self.train_split, self.validation_split)]
        raise RecipeError(
            f"The weights would be chosen by photos they learned from: data.train_split {splits[0]} and "
            f"data.validation_split {splits[1]} share photos of {self.captions} (null takes all). Name two different "
            "splits, or another source as data.validation_captions."
        )


@dataclass(frozen=True, kw_only=True)
class OptimiserRecipe:
    """AdamW, its schedule, and what is kept of a run.

    Args:
        learning_rate: Highest learning rate.
        betas: AdamW's two averaging rates.
        weight_decay: Decay of the weights (not of biases).
        schedule: How the learning rate falls after the warm-up: `cosine`, `linear` or `constant`.
        final_learning_rate: Where a cosine schedule ends, as a share of `learning_rate`.
        max_grad_norm: Gradients are clipped to this norm; 0 leaves them as they are.
        seed: Seed of new weights, the order of the captions and the dropout.
        keep_checkpoints: Checkpoints kept on disk; the best one is always among them.
    """

    schedules: ClassVar[tuple[str, ...]] = SCHEDULES

    learning_rate: float = 8e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    schedule: str = "cosine"
    final_learning_rate: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 0
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        one_of("training.schedule", self.schedule, self.schedules)
        above_zero("training.learning_rate", self.learning_rate)
        for beta in self.betas:
            share("training.betas", beta)
        at_least("training.weight_decay", self.weight_decay, 0.0)
        at_least("training.final_learning_rate", self.final_learning_rate, 0.0)
        at_most("training.final_learning_rate", self.final_learning_rate, 1.0)
        at_least("training.max_grad_norm", self.max_grad_norm, 0.0)
        at_least("training.seed", self.seed, 0)
        at_most("training.seed", self.seed, LARGEST_SEED)
        at_least("training.keep_checkpoints", self.keep_checkpoints, 1)
        if self.final_learning_rate and self.schedule != "cosine":
            raise RecipeError(
                f"training.final_learning_rate is {self.final_learning_rate}, and training.schedule is "
                f"{self.schedule!r}: only 'cosine' ends at a chosen rate. Set final_learning_rate to 0."
            )
