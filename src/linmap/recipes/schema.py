"""What a training recipe of a linear vision prefix may say: one frozen dataclass for each section of the YAML file.

A field without a default must be said. The types are checked by `linmap.recipes.recipe`, the ranges here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from linmap.errors import RecipeError
from linmap.recipes.ranges import above_zero, at_least, one_of, share
from linmap.recipes.sections import DTYPES, FORMATS, STORED, STREAMED, CaptionedPhotosRecipe, OptimiserRecipe

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
METHODS = ("ridge", "default")
METRICS = ("loss", "cider")
TOKENIZERS = ("ptb", "simple")


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """The two frozen parts, the shape of the linear layer between them, and what learns beside it.

    Args:
        encoder: Name of the image encoder, as `linmap.encoders.load_encoder` takes it. None shows the language model no
            image: the blind control, where nothing learns.
        encoder_pretrained: False draws random encoder weights: the control of the paper (§3, "Random").
        encoder_seed: Seed of those random weights.
        image_size: Side of the square image the encoder sees, in pixels; None takes the checkpoint's own.
        preprocessing: Name of a preprocessing that belongs to a paper, in place of the checkpoint's own: a key of
            `linmap.encoders.PREPROCESSINGS`.
        trained_encoder: Whether the encoder learns with the linear layer, at `training.encoder_learning_rate`.
        language_model: Name of the language model, as `linmap.language.load_language_model` takes it.
        language_model_dtype: Number type of the frozen language model; the linear layer is always float32.
        gguf_file: File inside `language_model` when that is a folder or a Hub repository holding GGUF files.
        features: `grid` keeps one image token for each cell, `pooled` takes the encoder's own pooled vector.
        grid_size: Side of the grid the encoder's own grid is averaged to, in cells; None keeps it as it is.
        prefix_length: Image tokens made from one pooled feature (grid features: 1).
        projector_dropout: Share of the projected values dropped in training, 0 to 1 (the paper's code: 0.1).
        adapter_downsample: Puts a bottleneck adapter behind every MLP of the language model, so many times narrower
            than its hidden states (MAGMA, arXiv 2112.05253: 4); they learn with the linear layer. None: no adapters.
        prompt: Text between the image and the caption, in training and afterwards; may be empty.
        training_prompt: That text in training alone, where it is another (the paper's code: none). None: `prompt`.
        add_bos_token: Whether every text begins with the language model's begin-of-text token, in training and
            afterwards; None leaves it as its tokenizer has it.
    """

    encoder: str | None
    encoder_pretrained: bool = True
    encoder_seed: int = 0
    image_size: int | None = None
    preprocessing: str | None = None
    trained_encoder: bool = False
    language_model: str
    language_model_dtype: str = "float32"
    gguf_file: str | None = None
    features: str = "grid"
    grid_size: int | None = None
    prefix_length: int = 1
    projector_dropout: float = 0.0
    adapter_downsample: int | None = None
    prompt: str = "A picture of"
    training_prompt: str | None = None
    add_bos_token: bool | None = None

    def __post_init__(self) -> None:
        one_of("model.features", self.features, FEATURES)
        one_of("model.language_model_dtype", self.language_model_dtype, DTYPES)
        at_least("model.encoder_seed", self.encoder_seed, 0)
        at_least("model.image_size", self.image_size, 1)
        at_least("model.grid_size", self.grid_size, 1)
        at_least("model.prefix_length", self.prefix_length, 1)
        share("model.projector_dropout", self.projector_dropout)
        at_least("model.adapter_downsample", self.adapter_downsample, 1)
        if self.is_blind and (self.trained_encoder or self.adapter_downsample):
            raise RecipeError(
                "model.encoder is null, which shows no image: nothing can learn. Name an encoder, or leave "
                "model.trained_encoder and model.adapter_downsample out."
            )

    @property
    def is_blind(self) -> bool:
        """Whether no image is shown: the language model continues the prompt alone."""
        return self.encoder is None


@dataclass(frozen=True, kw_only=True)
class DataRecipe(CaptionedPhotosRecipe):
    """Which photos and captions, and what is done to them before training; see `CaptionedPhotosRecipe` for the rest.

    Args:
        max_caption_tokens: Longest caption in tokens, eos excluded; longer ones are cut. None: no limit.
    """

    formats: ClassVar[tuple[str, ...]] = (*FORMATS, STREAMED, STORED)

    max_caption_tokens: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("data.max_caption_tokens", self.max_caption_tokens, 1)
        if self.format == STREAMED and self.precompute_features:
            raise RecipeError(
                "data.precompute_features keeps the features of all photos in memory, which shards are not made for: "
                "set it to false, or extract the features once with linmap features extract and train from those "
                "(data.format: features)."
            )
        if self.format == STREAMED and self.train_photos is not None:
            raise RecipeError("data.train_photos cannot be said of shards: name fewer of them as data.captions.")


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
        one_of("initialisation.method", self.method, METHODS)
        at_least("initialisation.ridge", self.ridge, 0.0)
        at_least("initialisation.noise", self.noise, 0.0)


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe(OptimiserRecipe):
    """The optimisation of the linear layer, and of what learns beside it; see `OptimiserRecipe` for the rest.

    Args:
        steps: Optimiser steps in all; 0 where nothing learns.
        batch_size: Captions in one forward pass, for each device.
        gradient_accumulation: Forward passes for one optimiser step.
        warmup_steps: Steps in which the learning rate grows linearly to its highest.
        length_grouped: Batch captions of about the same length: less padding, more captions a second.
        encoder_learning_rate: Highest learning rate of an encoder that learns; the schedule is that of the rest.
    """

    steps: int
    batch_size: int = 32
    gradient_accumulation: int = 1
    warmup_steps: int = 0
    length_grouped: bool = True
    encoder_learning_rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("training.steps", self.steps, 0)
        if self.encoder_learning_rate is not None:
            above_zero("training.encoder_learning_rate", self.encoder_learning_rate)
        at_least("training.batch_size", self.batch_size, 1)
        at_least("training.gradient_accumulation", self.gradient_accumulation, 1)
        at_least("training.warmup_steps", self.warmup_steps, 0)


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
        one_of("evaluation.metric", self.metric, METRICS)
        one_of("evaluation.tokenizer", self.tokenizer, TOKENIZERS)
        at_least("evaluation.every", self.every, 1)
        at_least("evaluation.photos", self.photos, 1)
        at_least("evaluation.batch_size", self.batch_size, 1)
        at_least("evaluation.samples", self.samples, 0)
        at_least("evaluation.max_new_tokens", self.max_new_tokens, 1)


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
        at_least("generation.num_beams", self.num_beams, 1)
        at_least("generation.no_repeat_ngram_size", self.no_repeat_ngram_size, 0)
        at_least("generation.min_new_tokens", self.min_new_tokens, 0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run as data.

    Args:
        description: What the run makes, in a sentence.
        source: Where the numbers come from: the section of a paper, the file of its code, or the trial behind them.
        license: Licence of the trained layer, for its model card; an identifier the Hub knows, e.g. `apache-2.0`.
        data_terms: Terms of the training data, for the model card.
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
    data_terms: str | None = None

    def __post_init__(self) -> None:
        if not self.model.is_blind:
            at_least("training.steps", self.training.steps, 1)
        elif self.training.steps:
            raise RecipeError(
                f"model.encoder is null, which shows no image, and training.steps is {self.training.steps}: nothing "
                "can learn. Set training.steps to 0, or name an encoder."
            )
        if self.model.trained_encoder != (self.training.encoder_learning_rate is not None):
            raise RecipeError(
                "model.trained_encoder and training.encoder_learning_rate go together: an encoder that learns needs "
                "its own rate, and one that is frozen has none. Say both, or neither."
            )
        if self.model.trained_encoder and self.data.precompute_features:
            raise RecipeError(
                "model.trained_encoder is true, and features that are computed once would not change with the "
                "encoder: set data.precompute_features to false."
            )
        if self.data.format == STORED and self.model.trained_encoder:
            raise RecipeError(
                f"model.trained_encoder is true, and data.format {STORED!r} holds what the encoder made before: it "
                "would never change. Freeze the encoder, or train from photos."
            )
        if self.data.format == STREAMED and not self.model.is_blind:
            self._refuse_what_needs_all_photos()
        if self.model.preprocessing is not None and (self.data.precompute_features or self.data.format == STORED):
            self._refuse_to_keep_what_is_random()

    def _refuse_to_keep_what_is_random(self) -> None:
        from linmap.encoders.preprocessing import PREPROCESSINGS, is_random

        name = str(self.model.preprocessing)
        if is_random(PREPROCESSINGS.get(name, {})):
            raise RecipeError(
                f"model.preprocessing {name!r} shows other pixels of a photo each time, and features that are computed "
                "once would show the same for ever: set data.precompute_features to false and learn from photos."
            )

    def _refuse_what_needs_all_photos(self) -> None:
        if self.initialisation.method != "default":
            raise RecipeError(
                "initialisation.method 'ridge' looks at all photos before the first step, and data.format is "
                f"{STREAMED!r}: set it to 'default'."
            )
        if self.training.length_grouped:
            raise RecipeError(
                f"training.length_grouped sorts all captions, and data.format is {STREAMED!r}: set it to false."
            )
