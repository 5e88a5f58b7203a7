"""What a training recipe may say: one frozen dataclass for each section of the YAML file.

A field without a default must be said. The types are checked by `linmap.recipes.recipe`, the ranges here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from linmap.errors import RecipeError, UnknownNameError

__all__ = [
    "DataRecipe",
    "EvaluationRecipe",
    "GenerationRecipe",
    "InitialisationRecipe",
    "ModelRecipe",
    "Recipe",
    "TrainingRecipe",
]

FEATURES = ("grid", "pooled")
DTYPES = ("float32", "bfloat16", "float16")
FORMATS = ("flickr8k", "coco", "datasets")
METHODS = ("ridge", "default")
METRICS = ("loss", "cider")
SCHEDULES = ("cosine", "linear", "constant")
TOKENIZERS = ("ptb", "simple")
LARGEST_SEED = 2**32 - 1  # of NumPy


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UnknownNameError(what, value, known)


def _at_least(what: str, value: float | None, smallest: float) -> None:
    if value is not None and not value >= smallest:  # so that nan is refused too
        raise RecipeError(f"{what} is {value}; it must be at least {smallest}.")


def _at_most(what: str, value: float, largest: float) -> None:
    if not value <= largest:
        raise RecipeError(f"{what} is {value}; it must be at most {largest}.")


def _above_zero(what: str, value: float) -> None:
    if not value > 0:
        raise RecipeError(f"{what} is {value}; it must be greater than 0.")


def _share(what: str, value: float) -> None:
    if not 0 <= value < 1:
        raise RecipeError(f"{what} is {value}; it must be at least 0 and less than 1.")


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """The two frozen parts and the shape of the linear layer between them.

    Args:
        encoder: Name of the image encoder, as `linmap.encoders.load_encoder` takes it.
        encoder_pretrained: False draws random encoder weights: the control of the paper (§3, "Random").
        encoder_seed: Seed of those random weights.
        image_size: Side of the square image the encoder sees, in pixels; None takes the checkpoint's own.
        language_model: Name of the language model, as `linmap.language.load_language_model` takes it.
        language_model_dtype: Number type of the frozen language model; the linear layer is always float32.
        gguf_file: File inside `language_model` when that is a folder or a Hub repository holding GGUF files.
        features: `grid` keeps one image token for each cell, `pooled` takes the encoder's own pooled vector.
        grid_size: Side of the grid the encoder's own grid is averaged to, in cells; None keeps it as it is.
        prefix_length: Image tokens made from one pooled feature (grid features: 1).
        projector_dropout: Share of the projected values dropped in training, 0 to 1 (the paper's code: 0.1).
        prompt: Text between the image and the caption, in training and afterwards; may be empty.
        add_bos_token: Whether every text begins with the language model's begin-of-text token, in training and
            afterwards; None leaves it as its tokenizer has it.
    """

    encoder: str
    encoder_pretrained: bool = True
    encoder_seed: int = 0
    image_size: int | None = None
    language_model: str
    language_model_dtype: str = "float32"
    gguf_file: str | None = None
    features: str = "grid"
    grid_size: int | None = None
    prefix_length: int = 1
    projector_dropout: float = 0.0
    prompt: str = "A picture of"
    add_bos_token: bool | None = None

    def __post_init__(self) -> None:
        _one_of("model.features", self.features, FEATURES)
        _one_of("model.language_model_dtype", self.language_model_dtype, DTYPES)
        _at_least("model.encoder_seed", self.encoder_seed, 0)
        _at_least("model.image_size", self.image_size, 1)
        _at_least("model.grid_size", self.grid_size, 1)
        _at_least("model.prefix_length", self.prefix_length, 1)
        _share("model.projector_dropout", self.projector_dropout)


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """Which photos and captions, and what is done to them before training.

    Args:
        captions: Captions file; for `format: datasets` the name or folder of a dataset. Relative to where the
            command runs.
        images: Folder of the photos (not used by `format: datasets`).
        format: `flickr8k` (one JSON list with file, captions, split), `coco` (captions JSON) or `datasets`.
        train_split: Split to learn from. None takes all: a COCO file is one split, and `validation_captions` another.
        validation_split: Split that chooses the weights to keep.
        validation_captions: Captions file of the validation split where it is another file.
        validation_images: Folder of its photos where it is another folder.
        image_column: Column of the photos (`format: datasets`).
        caption_column: Column of the captions, a text or a list of texts (`format: datasets`).
        lower_case: Lower-case the captions.
        strip_final_period: Drop a final full stop (and the space before it), so that the end of a caption is its eos.
        max_caption_tokens: Longest caption in tokens, eos excluded; longer ones are cut. None: no limit.
        train_photos: Use only the first photos of the train split, for trials. None: all.
        unreadable_limit: Photos that may be unreadable and are then skipped, each named. 0 stops at the first.
        precompute_features: Encode each photo once, before training. Keeps `features` of all photos in memory.
        feature_dtype: Number type of the precomputed features in memory and on disk.
    """

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
    max_caption_tokens: int | None = None
    train_photos: int | None = None
    unreadable_limit: int = 0
    precompute_features: bool = True
    feature_dtype: str = "float16"

    def __post_init__(self) -> None:
        _one_of("data.format", self.format, FORMATS)
        _one_of("data.feature_dtype", self.feature_dtype, DTYPES)
        _at_least("data.train_photos", self.train_photos, 1)
        _at_least("data.unreadable_limit", self.unreadable_limit, 0)
        _at_least("data.max_caption_tokens", self.max_caption_tokens, 1)
        if self.format != "datasets" and self.images is None:
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
class InitialisationRecipe:
    """Where the linear layer starts.

    Args:
        method: `ridge` solves a ridge regression of mean image features on mean caption embeddings; `default` keeps
            the random weights of a fresh layer.
        ridge: Ridge strength, as a share of the mean square of the centred features.
        noise: Spread of the seeded noise that makes the k copies of a `prefix_length: k` map differ, as a share of
            the map's own spread.
    """

    method: str = "ridge"
    ridge: float = 0.1
    noise: float = 0.3

    def __post_init__(self) -> None:
        _one_of("initialisation.method", self.method, METHODS)
        _at_least("initialisation.ridge", self.ridge, 0.0)
        _at_least("initialisation.noise", self.noise, 0.0)


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """The optimisation: AdamW on the linear layer alone.

    Args:
        steps: Optimiser steps in all.
        batch_size: Captions in one forward pass, for each device.
        gradient_accumulation: Forward passes for one optimiser step.
        learning_rate: Highest learning rate.
        betas: AdamW's two averaging rates.
        weight_decay: Decay of the weight (not of the bias).
        warmup_steps: Steps in which the learning rate grows linearly to its highest.
        schedule: How it falls afterwards.
        final_learning_rate: Where a cosine schedule ends, as a share of `learning_rate`.
        max_grad_norm: Gradients are clipped to this norm; 0 leaves them as they are.
        length_grouped: Batch captions of about the same length: less padding, more captions a second.
        seed: Seed of the layer, the order of the captions and the dropout.
        keep_checkpoints: Checkpoints kept on disk; the best one is always among them.
    """

    steps: int
    batch_size: int = 32
    gradient_accumulation: int = 1
    learning_rate: float = 8e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    warmup_steps: int = 0
    schedule: str = "cosine"
    final_learning_rate: float = 0.0
    max_grad_norm: float = 1.0
    length_grouped: bool = True
    seed: int = 0
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        _one_of("training.schedule", self.schedule, SCHEDULES)
        _at_least("training.steps", self.steps, 1)
        _at_least("training.batch_size", self.batch_size, 1)
        _at_least("training.gradient_accumulation", self.gradient_accumulation, 1)
        _above_zero("training.learning_rate", self.learning_rate)
        for beta in self.betas:
            _share("training.betas", beta)
        _at_least("training.weight_decay", self.weight_decay, 0.0)
        _at_least("training.warmup_steps", self.warmup_steps, 0)
        _at_least("training.final_learning_rate", self.final_learning_rate, 0.0)
        _at_most("training.final_learning_rate", self.final_learning_rate, 1.0)
        _at_least("training.max_grad_norm", self.max_grad_norm, 0.0)
        _at_least("training.seed", self.seed, 0)
        _at_most("training.seed", self.seed, LARGEST_SEED)
        _at_least("training.keep_checkpoints", self.keep_checkpoints, 1)
        if self.final_learning_rate and self.schedule != "cosine":
            raise RecipeError(
                f"training.final_learning_rate is {self.final_learning_rate}, and training.schedule is "
                f"{self.schedule!r}: only 'cosine' ends at a chosen rate. Set final_learning_rate to 0."
            )


@dataclass(frozen=True, kw_only=True)
class EvaluationRecipe:
    """What is looked at while training, and which weights are kept.

    Args:
        every: Steps between two evaluations; a checkpoint is written at each.
        photos: Validation photos whose loss is taken, one caption each. None: all.
        batch_size: Captions in one forward pass.
        samples: Validation photos captioned into samples.md at each evaluation.
        max_new_tokens: Longest caption generated, in tokens.
        metric: `loss` keeps the weights of the lowest validation loss, `cider` those of the highest CIDEr-D.
        tokenizer: CIDEr-D's tokenizer: `ptb` (needs Java) or `simple` (not comparable with published numbers).
    """

    every: int = 200
    photos: int | None = None
    batch_size: int = 32
    samples: int = 6
    max_new_tokens: int = 20
    metric: str = "loss"
    tokenizer: str = "ptb"

    def __post_init__(self) -> None:
        _one_of("evaluation.metric", self.metric, METRICS)
        _one_of("evaluation.tokenizer", self.tokenizer, TOKENIZERS)
        _at_least("evaluation.every", self.every, 1)
        _at_least("evaluation.photos", self.photos, 1)
        _at_least("evaluation.batch_size", self.batch_size, 1)
        _at_least("evaluation.samples", self.samples, 0)
        _at_least("evaluation.max_new_tokens", self.max_new_tokens, 1)


@dataclass(frozen=True, kw_only=True)
class GenerationRecipe:
    """What the finished model's `generate` does unless told otherwise; captions while training are greedy.

    Args:
        num_beams: Beams of the search; 1 is greedy.
        length_penalty: Exponent of the length that beam scores are divided by; below 1 favours short captions.
        no_repeat_ngram_size: Runs of so many words never come twice; 0 allows them.
        min_new_tokens: Shortest caption, in tokens; without it a photo unlike the training photos may get none.
        one_line: Tokens with a line break are never generated; after one, a language model leaves the photo behind.
    """

    num_beams: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0
    one_line: bool = False

    def __post_init__(self) -> None:
        _at_least("generation.num_beams", self.num_beams, 1)
        _at_least("generation.no_repeat_ngram_size", self.no_repeat_ngram_size, 0)
        _at_least("generation.min_new_tokens", self.min_new_tokens, 0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run as data.

    Args:
        description: What the run makes, in a sentence.
        source: Where the numbers come from: the section of a paper, the file of its code, or the trial behind them.
        license: Licence of the trained layer, for its model card; an identifier the Hub knows, e.g. `apache-2.0`.
    """

    description: str
    source: str
    model: ModelRecipe
    data: DataRecipe
    training: TrainingRecipe
    initialisation: InitialisationRecipe = field(default_factory=InitialisationRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
    generation: GenerationRecipe = field(default_factory=GenerationRecipe)
    license: str | None = None
