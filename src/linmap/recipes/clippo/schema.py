"""What a training recipe of CLIPPO may say: one frozen dataclass for each section of the YAML file.

A field without a default must be said. The types are checked by `linmap.recipes.recipe`, the ranges here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from linmap.errors import RecipeError
from linmap.recipes.ranges import above_zero, at_least, at_most, one_of, share
from linmap.recipes.sections import FORMATS, STREAMED, CaptionedPhotosRecipe, OptimiserRecipe

__all__ = [
    "ClippoDataRecipe",
    "ClippoEvaluationRecipe",
    "ClippoModelRecipe",
    "ClippoRecipe",
    "ClippoTrainingRecipe",
    "TextPairsRecipe",
    "TextRendererRecipe",
]

KINDS = ("captions", "sentences", "translations", "word_dropout")
METRICS = ("recall", "loss")
TEXT_INPUTS = ("pixels", "tokens")
SHARING = ("shared", "own")
OPTIMISERS = ("adamw", "adafactor")
COMPUTED_IN = ("float32", "bfloat16")
SCHEDULES = ("cosine", "linear", "constant", "inverse_sqrt")


@dataclass(frozen=True, kw_only=True)
class TextRendererRecipe:
    """How texts are drawn, as `linmap.render_text` takes it.

    Args:
        font_size: Height of the letters, in pixels.
        max_chars: Characters that are drawn at most.
        lowercase: Draw them in lower case (ASCII letters alone).
        monospace: Every letter as wide as the widest.
        spacing: Pixels beside the ink of a letter.
        min_width: Least width of a letter, in pixels.
        text_brightness: Grey level of the ink.
        background_brightness: Grey level of the rest.
    """

    font_size: int = 16
    max_chars: int = 768
    lowercase: bool = True
    monospace: bool = False
    spacing: int = 1
    min_width: int = 4
    text_brightness: int = 0
    background_brightness: int = 127


@dataclass(frozen=True, kw_only=True)
class ClippoModelRecipe:
    """The tower, and what photos and texts share of it; see `ClippoConfig`.

    Args:
        image_size: Side of the square image that the tower sees, in pixels; drawn text has the same.
        patch_size: Side of a patch, in pixels.
        hidden_size: Width of the tower.
        num_hidden_layers: Its blocks.
        num_attention_heads: Heads of each block.
        intermediate_size: Width of the MLPs.
        projection_dim: Width of the shared space.
        text_input: `pixels`: texts are drawn; `tokens`: tokenised, with an embedding of their own (1T-CLIP).
        text_tower: `shared`, or `own`: a second tower of the same shape for texts (with `tokens`: CLIP*).
        text_patch_embedding: `shared`, or `own`.
        text_head: `shared`, or `own`.
        tokenizer: Of `text_input: tokens`: the text encoder whose tokenizer is taken, by the name that
            `linmap.text_encoders.load_text_encoder` takes; none of its weights are.
        max_text_tokens: Longest text, in tokens; what is longer is cut there.
        text_renderer: How texts are drawn.
        initial_weights: A ViT of timm that the tower starts from (`timm:NAME`): patch embedding, positions, blocks and
            last norm; the sizes must be its own. Attention pooling and head start at random. Or the folder or Hub id of
            a CLIPPO model, which goes on learning with all its weights. None: everything starts at random.
        mini_batch_size: Rows that go through the tower at a time (gradient caching, arXiv 2101.06983): the same
            gradient in less memory. None: the whole batch.
    """

    image_size: int = 224
    patch_size: int = 16
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    projection_dim: int = 768
    text_input: str = "pixels"
    text_tower: str = "shared"
    text_patch_embedding: str = "shared"
    text_head: str = "shared"
    tokenizer: str | None = None
    max_text_tokens: int = 64
    text_renderer: TextRendererRecipe = field(default_factory=TextRendererRecipe)
    initial_weights: str | None = None
    mini_batch_size: int | None = None

    def __post_init__(self) -> None:
        one_of("model.text_input", self.text_input, TEXT_INPUTS)
        for part in ("text_tower", "text_patch_embedding", "text_head"):
            one_of(f"model.{part}", getattr(self, part), SHARING)
        if (self.text_input == "tokens") != (self.tokenizer is not None):
            raise RecipeError(
                "model.text_input 'tokens' and model.tokenizer go together: texts that are drawn need no tokenizer, "
                "and texts that are not need one, such as open_clip:ViT-B-32. Say both, or neither."
            )
        at_least("model.mini_batch_size", self.mini_batch_size, 1)

    @property
    def has_parts_of_photos_alone(self) -> bool:
        """Whether some weights see photos and never a text."""
        return self.text_input == "tokens" or "own" in (self.text_tower, self.text_patch_embedding, self.text_head)


@dataclass(frozen=True, kw_only=True)
class TextPairsRecipe:
    """One kind of text-text pairs and its share of each batch.

    Args:
        kind: `captions`: two captions of one photo. `sentences`: two sentences that follow one another in a text.
            `translations`: a sentence in two languages. `word_dropout`: a sentence and itself with words left out.
        share: Share of the pairs of each batch.
        source: `sentences`: texts, as `linmap.data.text_pairs.read_documents` takes them; `translations`: a TSV file;
            `word_dropout`: sentences, as `linmap.data.sentences.read_sentences` takes them. None, for `captions` and
            `word_dropout`: the captions of the photos that are learned from.
        split: Split of a dataset; None takes all.
        column: Column of a table with several columns of text.
        drop: Of `word_dropout`: share of the words that are left out.
        language: Of `sentences`: its language, by whose rules texts are cut into sentences.
    """

    kind: str
    share: float
    source: str | None = None
    split: str | None = None
    column: str | None = None
    drop: float = 0.25
    language: str = "en"

    def __post_init__(self) -> None:
        one_of("data.text_pairs.kind", self.kind, KINDS)
        above_zero("data.text_pairs.share", self.share)
        at_most("data.text_pairs.share", self.share, 1.0)
        share("data.text_pairs.drop", self.drop)
        if self.kind == "captions" and self.source is not None:
            raise RecipeError(
                f"data.text_pairs of kind 'captions' are those of the photos in data.captions; found the source "
                f"{self.source!r}. Leave it out."
            )
        if self.kind in ("sentences", "translations") and self.source is None:
            raise RecipeError(f"data.text_pairs of kind {self.kind!r} need a source: name the file or dataset.")


@dataclass(frozen=True, kw_only=True)
class ClippoDataRecipe(CaptionedPhotosRecipe):
    """Which photos, captions and texts; see `CaptionedPhotosRecipe` for the rest.

    With `precompute_features` each photo is decoded and made small once, before training, and kept in memory: 36 KiB
    a photo at 112 pixels.

    Args:
        mirror: Show each photo as it is or mirrored left to right, drawn anew each time.
        crop: Show a random part of each photo, drawn anew each time, with its proportions and at least this share of
            its sides; 1 shows all of it. With `precompute_features` the part is cut from the small photo.
        text_pairs: Text-text pairs in each batch beside the photos; together at most the whole batch.
    """

    formats: ClassVar[tuple[str, ...]] = (*FORMATS, STREAMED)

    mirror: bool = False
    crop: float = 1.0
    text_pairs: tuple[TextPairsRecipe, ...] = ()
    precompute_features: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero("data.crop", self.crop)
        at_most("data.crop", self.crop, 1.0)
        at_most("The sum of the shares of data.text_pairs", self.text_share, 1.0)
        if self.format != STREAMED:
            return
        for pairs in self.text_pairs:
            if pairs.source is None:
                raise RecipeError(
                    f"data.text_pairs of kind {pairs.kind!r} without a source are made of captions, and data.format is "
                    f"{STREAMED!r}, where these are not known beforehand. Name a source, or another kind."
                )
        if self.precompute_features:
            raise RecipeError(
                f"data.precompute_features keeps all photos in memory, and data.format is {STREAMED!r}: set it to "
                "false."
            )

    @property
    def text_share(self) -> float:
        """Share of text-text pairs in a batch."""
        return round(sum(pairs.share for pairs in self.text_pairs), 9)


@dataclass(frozen=True, kw_only=True)
class ClippoTrainingRecipe(OptimiserRecipe):
    """The optimisation of everything; see `OptimiserRecipe` for the rest.

    Of the weights those of linear layers and of the patch embedding decay, as in the original.

    Args:
        steps: Optimiser steps in all.
        batch_size: Pairs of a step, in all processes together; all are compared with one another.
        optimizer: `adamw`, or `adafactor`: second moments kept as rows and columns (arXiv 1804.04235), with a momentum
            of `betas[0]`, and without update clipping, relative steps or parameter scaling.
        schedule: How the learning rate falls after the warm-up: `cosine`, `linear`, `constant`, or `inverse_sqrt`
            (1 / sqrt(1 + steps since the warm-up / timescale)).
        timescale: Of `inverse_sqrt`, in steps.
        warmup_steps: Steps in which the learning rate grows linearly to its highest.
        cooldown_steps: Last steps, in which it falls linearly to 0, on top of an `inverse_sqrt` schedule.
        epsilon: AdamW's, in the denominator.
        dtype: `bfloat16` multiplies matrices in bfloat16 (autocast) while weights and sums stay float32.
    """

    schedules: ClassVar[tuple[str, ...]] = SCHEDULES

    steps: int
    batch_size: int
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: str = "inverse_sqrt"
    timescale: int = 10_000
    warmup_steps: int = 0
    cooldown_steps: int = 0
    epsilon: float = 1e-8
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("training.optimizer", self.optimizer, OPTIMISERS)
        one_of("training.dtype", self.dtype, COMPUTED_IN)
        at_least("training.steps", self.steps, 1)
        at_least("training.batch_size", self.batch_size, 2)  # one pair has nothing to be told from
        at_least("training.timescale", self.timescale, 1)
        at_least("training.warmup_steps", self.warmup_steps, 0)
        at_least("training.cooldown_steps", self.cooldown_steps, 0)
        above_zero("training.epsilon", self.epsilon)
        if self.cooldown_steps and self.schedule != "inverse_sqrt":
            raise RecipeError(
                f"training.cooldown_steps is {self.cooldown_steps}, and training.schedule is {self.schedule!r}: only "
                "'inverse_sqrt' has a cooldown. Set it to 0."
            )
        if self.warmup_steps + self.cooldown_steps > self.steps:
            raise RecipeError(
                f"training.warmup_steps {self.warmup_steps} and training.cooldown_steps {self.cooldown_steps} are "
                f"more than training.steps, {self.steps}."
            )


@dataclass(frozen=True, kw_only=True)
class ClippoEvaluationRecipe:
    """What is looked at while training, and which weights are kept.

    Args:
        every: Steps between two evaluations; a checkpoint is written at each, and at the end.
        photos: Validation photos, with all their captions. None: all.
        batch_size: Photos or texts encoded at a time.
        samples: Validation photos of which samples.md shows the caption that the model takes for theirs.
        metric: `recall` keeps the weights of the highest mean of R@10 from text to image and from image to text,
            `loss` those of the lowest loss over one caption of each photo, all compared at once.
    """

    every: int = 1000
    photos: int | None = None
    batch_size: int = 64
    samples: int = 6
    metric: str = "recall"

    def __post_init__(self) -> None:
        one_of("evaluation.metric", self.metric, METRICS)
        at_least("evaluation.every", self.every, 1)
        at_least("evaluation.photos", self.photos, 2)
        at_least("evaluation.batch_size", self.batch_size, 1)
        at_least("evaluation.samples", self.samples, 0)


@dataclass(frozen=True, kw_only=True)
class ClippoRecipe:
    """A whole training run of CLIPPO as data.

    Args:
        description: What the run makes, in a sentence.
        source: Where the numbers come from: the section of a paper, the file of its code, or the trial behind them.
        license: Licence of what is trained, for its model card; an identifier the Hub knows, e.g. `apache-2.0`.
        data_terms: Terms of the training data, for the model card.
    """

    description: str
    source: str
    model: ClippoModelRecipe
    data: ClippoDataRecipe
    training: ClippoTrainingRecipe
    evaluation: ClippoEvaluationRecipe = field(default_factory=ClippoEvaluationRecipe)
    license: str | None = None
    data_terms: str | None = None

    def __post_init__(self) -> None:
        for pairs, count in zip(self.data.text_pairs, self.text_rows, strict=True):
            if count < 1:
                raise RecipeError(
                    f"data.text_pairs of kind {pairs.kind!r} have the share {pairs.share:g} of "
                    f"{self.training.batch_size} pairs, which is not one: take a larger share or batch."
                )
        if self.photo_rows < 0:
            raise RecipeError(
                f"The shares of data.text_pairs come to {sum(self.text_rows)} of {self.training.batch_size} pairs when "
                "rounded: change one of them a little."
            )

    @property
    def text_rows(self) -> list[int]:
        """Text-text pairs in a batch, of each kind that `data.text_pairs` names."""
        return [round(pairs.share * self.training.batch_size) for pairs in self.data.text_pairs]

    @property
    def photo_rows(self) -> int:
        """Photos in a batch."""
        return self.training.batch_size - sum(self.text_rows)
