"""What a training recipe of DeCap may say: one frozen dataclass for each section of the YAML file.

A field without a default must be said. The types are checked by `linmap.recipes.recipe`, the ranges here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from linmap.errors import RecipeError
from linmap.recipes.decap.model_schema import DeCapModelRecipe
from linmap.recipes.ranges import above_zero, at_least, at_most, one_of, share
from linmap.recipes.schema import TOKENIZERS, GenerationRecipe
from linmap.recipes.sections import DTYPES, FORMATS, WITHOUT_FOLDER, OptimiserRecipe

__all__ = [
    "DeCapDataRecipe",
    "DeCapEvaluationRecipe",
    "DeCapRecipe",
    "DeCapTrainingRecipe",
    "MemoryRecipe",
    "PhotosRecipe",
    "TextSource",
]

METRICS = ("loss", "cider_d")
MEMORY_DTYPES = ("float32", "float16", "int8")
WEIGHTS_DTYPES = ("float32", "float16")


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """One source of sentences.

    Args:
        source: Text file (a sentence a line), captions in JSON, JSON Lines, CSV or Parquet file, saved folder, or name
            of a dataset; see `linmap.data.sentences.read_sentences`. Relative to where the command runs.
        split: Only this split of captions in JSON or of a dataset; None takes all.
        column: Of a table with several columns of text.
    """

    source: str
    split: str | None = None
    column: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeCapDataRecipe:
    """Which text; no photo is learned from.

    Args:
        texts: Where the training sentences come from.
        train_texts: Learn from only so many of them, drawn at random with `training.seed`; of the same seed, fewer lie
            among more. None: all.
        validation_texts: Where those come from that the loss is measured on.
        validation_share: Where there are none: share of the different training sentences that is kept apart for it.
        precompute_latents: Encode each sentence once, before training, and keep the latents in memory and in the
            folder's cache; False encodes each batch when its turn comes.
        latent_dtype: Number type of the latents that are kept.
        projected_share: Share of the training sentences that are seen as a photo would show them: their latents are
            projected on those of other sentences, without their own. Not the paper's, which has none (0).
        projected_tau: Temperature of that projection. Among texts cosines are higher than between photos and texts, so
            that it is higher than `model.tau` for as blunt a result.
    """

    texts: tuple[TextSource, ...]
    train_texts: int | None = None
    validation_texts: tuple[TextSource, ...] = ()
    validation_share: float = 0.02
    precompute_latents: bool = True
    latent_dtype: str = "float16"
    projected_share: float = 0.0
    projected_tau: float = 0.06

    def __post_init__(self) -> None:
        one_of("data.latent_dtype", self.latent_dtype, DTYPES)
        at_least("data.train_texts", self.train_texts, 1)
        share("data.validation_share", self.validation_share)
        at_least("data.projected_share", self.projected_share, 0.0)
        at_most("data.projected_share", self.projected_share, 1.0)
        above_zero("data.projected_tau", self.projected_tau)
        if self.projected_share and not self.precompute_latents:
            raise RecipeError(
                f"data.projected_share is {self.projected_share}, and latents can be projected only where all are "
                "there: set data.precompute_latents to true."
            )
        if not self.texts:
            raise RecipeError("data.texts is empty; name at least one source of sentences.")
        if not self.validation_texts:
            above_zero("data.validation_share", self.validation_share)
        for own in self.validation_texts:
            for learned in self.texts:
                if _share_texts(own, learned):
                    raise RecipeError(
                        f"The loss would be measured on text that is learned: {own.source} is in data.texts and in "
                        "data.validation_texts. Name two different splits or sources, or leave validation_texts out: "
                        "data.validation_share is then kept apart."
                    )


def _share_texts(one: TextSource, other: TextSource) -> bool:
    same = Path(one.source).resolve() == Path(other.source).resolve()
    return same and one.column == other.column and (one.split == other.split or None in (one.split, other.split))


@dataclass(frozen=True, kw_only=True)
class MemoryRecipe:
    """The support memory that the finished model holds: training sentences, each once, with their latents.

    Args:
        captions: How many of them, drawn at random; None: all.
        dtype: What their latents are kept as: `float32`, `float16`, or `int8` with a scale for each row.
        seed: Of the draw; of the same seed a smaller memory lies in a larger one.
    """

    captions: int | None = None
    dtype: str = "float16"
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("memory.dtype", self.dtype, MEMORY_DTYPES)
        at_least("memory.captions", self.captions, 1)
        at_least("memory.seed", self.seed, 0)


@dataclass(frozen=True, kw_only=True)
class DeCapTrainingRecipe(OptimiserRecipe):
    """The optimisation of the linear layer, and of the decoder if it learns; see `OptimiserRecipe` for the rest.

    Args:
        epochs: Passes over the text.
        batch_size: Sentences in a batch.
        warmup_steps: Steps in which the learning rate grows linearly to its highest (the paper's code: 1000).
        warmup_share: Instead of their number, their share of all steps.
        length_grouped: Batch sentences of about the same length: less padding, more sentences a second.
        bf16: Multiply matrices in bfloat16 (autocast) while weights and sums stay float32: quicker on processors
            and cards that can.
        weights_dtype: What the finished `model.safetensors` holds what was learned in; it is loaded as float32.
    """

    epochs: int
    batch_size: int = 64
    warmup_steps: int = 0
    warmup_share: float = 0.0
    length_grouped: bool = True
    bf16: bool = False
    weights_dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("training.weights_dtype", self.weights_dtype, WEIGHTS_DTYPES)
        at_least("training.epochs", self.epochs, 1)
        at_least("training.batch_size", self.batch_size, 1)
        at_least("training.warmup_steps", self.warmup_steps, 0)
        share("training.warmup_share", self.warmup_share)
        if self.warmup_steps and self.warmup_share:
            raise RecipeError(
                "training.warmup_steps and training.warmup_share both say how long the warm-up is; set one to 0."
            )


@dataclass(frozen=True, kw_only=True)
class PhotosRecipe:
    """Captioned photos to measure on; nothing is learned from them.

    Args:
        captions: Captions file; for `format: datasets` the name or folder of a dataset, for `magma` a folder. Relative
            to where the command runs.
        images: Folder of the photos (not used by `datasets` and `magma`).
        format: `flickr8k`, `coco`, `karpathy`, `nocaps`, `magma` or `datasets`; see `linmap.data.read_captions`.
        split: Split to measure on; None takes all.
        limit: Only the first so many photos; None: all.
        tokenizer: `ptb` (needs Java; comparable with published scores) or `simple`.
        unreadable_limit: Photos that may be unreadable and are then skipped, each named. 0 stops at the first.
    """

    captions: str
    images: str | None = None
    format: str = "flickr8k"
    split: str | None = "val"
    limit: int | None = None
    tokenizer: str = "ptb"
    unreadable_limit: int = 0

    def __post_init__(self) -> None:
        one_of("evaluation.photos.format", self.format, FORMATS)
        one_of("evaluation.photos.tokenizer", self.tokenizer, TOKENIZERS)
        at_least("evaluation.photos.limit", self.limit, 2)
        at_least("evaluation.photos.unreadable_limit", self.unreadable_limit, 0)
        if self.format not in WITHOUT_FOLDER and self.images is None:
            raise RecipeError(
                f"evaluation.photos.images is missing: format {self.format!r} needs the folder that holds the photos."
            )


@dataclass(frozen=True, kw_only=True)
class DeCapEvaluationRecipe:
    """What is looked at while training, and which weights are kept.

    Args:
        every: Epochs between two evaluations; a checkpoint is written at each, and at the end.
        batch_size: Sentences or photos at a time.
        max_new_tokens: Longest caption, in tokens, of the finished model too (the paper's code: 30).
        metric: `loss` keeps the weights of the lowest loss on the validation text, `cider_d` those whose captions of
            `photos` score highest.
        photos: Photos whose captions are scored with CIDEr-D at each evaluation, greedily, and at the end by every
            strategy, as the finished model captions. None: no photo is read at all.
    """

    every: int = 1
    batch_size: int = 100
    max_new_tokens: int = 30
    metric: str = "loss"
    photos: PhotosRecipe | None = None

    def __post_init__(self) -> None:
        one_of("evaluation.metric", self.metric, METRICS)
        at_least("evaluation.every", self.every, 1)
        at_least("evaluation.batch_size", self.batch_size, 1)
        at_least("evaluation.max_new_tokens", self.max_new_tokens, 1)
        if self.metric == "cider_d" and self.photos is None:
            raise RecipeError(
                "evaluation.metric is cider_d, and there are no captioned photos to score. Add evaluation.photos, or "
                "choose by the loss."
            )


@dataclass(frozen=True, kw_only=True)
class DeCapRecipe:
    """A whole text-only training run of DeCap as data.

    Args:
        description: What the run makes, in a sentence.
        source: Where the numbers come from: the section of a paper, the file of its code, or the trial behind them.
        memory: None: the finished model holds no memory.
        license: Licence of what is trained, for its model card; an identifier the Hub knows, e.g. `apache-2.0`.
        data_terms: Terms of the training data, for the model card.
    """

    description: str
    source: str
    model: DeCapModelRecipe
    data: DeCapDataRecipe
    training: DeCapTrainingRecipe
    memory: MemoryRecipe | None = field(default_factory=MemoryRecipe)
    evaluation: DeCapEvaluationRecipe = field(default_factory=DeCapEvaluationRecipe)
    generation: GenerationRecipe = field(default_factory=GenerationRecipe)
    license: str | None = None
    data_terms: str | None = None

    def __post_init__(self) -> None:
        strategy, positions = self.model.strategy, self.model.positions
        if self.evaluation.photos is not None and self.memory is None and strategy != "visual":
            raise RecipeError(
                f"model.strategy {strategy!r} asks a support memory for photos, and memory is null. Give it one, set "
                "model.strategy to visual, or evaluation.photos to null."
            )
        if self.evaluation.metric == "cider_d" and strategy == "retrieval":
            raise RecipeError(
                "evaluation.metric is cider_d and model.strategy is retrieval, which asks no decoder: all weights "
                "score alike. Choose by the loss, or another strategy."
            )
        longest = self.model.prefix_length + max(self.model.max_length, self.evaluation.max_new_tokens)
        if positions is not None and positions < longest:
            raise RecipeError(
                f"model.positions is {positions}; the prefix and the longest text (model.max_length, "
                f"evaluation.max_new_tokens) need {longest}."
            )
