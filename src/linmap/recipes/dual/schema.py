"""What a training recipe of a dual encoder may say: one frozen dataclass for each section of the YAML file.

A field without a default must be said. The types are checked by `linmap.recipes.recipe`, the ranges here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from linmap.recipes.ranges import above_zero, at_least, one_of, share
from linmap.recipes.sections import CaptionedPhotosRecipe, OptimiserRecipe

__all__ = ["DualDataRecipe", "DualEvaluationRecipe", "DualModelRecipe", "DualRecipe", "DualTrainingRecipe"]

TOWERS = ("image", "text")
LOSSES = ("softmax", "sigmoid")
METRICS = ("recall", "loss")


@dataclass(frozen=True, kw_only=True)
class DualModelRecipe:
    """The two towers, which of them learns, and the shared space.

    Args:
        image_encoder: Name of the image tower, as `linmap.encoders.load_encoder` takes it.
        image_encoder_pretrained: False draws random weights: to train from scratch, or as a control.
        image_encoder_seed: Seed of those random weights.
        image_size: Side of the square image the image tower sees, in pixels; None takes the checkpoint's own.
        text_encoder: Name of the text tower, as `linmap.text_encoders.load_text_encoder` takes it.
        text_encoder_pretrained: As for images.
        text_encoder_seed: As for images.
        text_pooling: Which vector stands for a text: `mean`, `cls`, `eos` or `pooler`; None takes what is known.
        projection_dim: Width of the shared space, in channels.
        mirror: Whether an image's feature is the mean of those of the image and of its mirror image, in the finished
            model too; with `data.mirror` a locked image tower's head still learns on one of the two at a time.
        trained_towers: The towers that learn beside the two heads: `[]` two linear maps, `[text]` locked-image tuning
            (arXiv 2111.07991), `[image, text]` CLIP.
        image_dropout: Share of an image's features dropped in front of the head, in training.
        text_dropout: Likewise for texts.
        loss: `softmax` (CLIP's, section 2.3) or `sigmoid` (SigLIP's, arXiv 2303.15343).
        mini_batch_size: Pairs that go through a learning tower at a time (gradient caching, arXiv 2101.06983): the
            same gradient in less memory. None: the whole batch.
    """

    image_encoder: str
    image_encoder_pretrained: bool = True
    image_encoder_seed: int = 0
    image_size: int | None = None
    text_encoder: str
    text_encoder_pretrained: bool = True
    text_encoder_seed: int = 0
    text_pooling: str | None = None
    projection_dim: int = 512
    mirror: bool = False
    trained_towers: tuple[str, ...] = ()
    image_dropout: float = 0.0
    text_dropout: float = 0.0
    loss: str = "softmax"
    mini_batch_size: int | None = None

    def __post_init__(self) -> None:
        for tower in self.trained_towers:
            one_of("model.trained_towers", tower, TOWERS)
        one_of("model.loss", self.loss, LOSSES)
        at_least("model.image_encoder_seed", self.image_encoder_seed, 0)
        at_least("model.text_encoder_seed", self.text_encoder_seed, 0)
        at_least("model.image_size", self.image_size, 1)
        at_least("model.projection_dim", self.projection_dim, 1)
        share("model.image_dropout", self.image_dropout)
        share("model.text_dropout", self.text_dropout)
        at_least("model.mini_batch_size", self.mini_batch_size, 1)


@dataclass(frozen=True, kw_only=True)
class DualDataRecipe(CaptionedPhotosRecipe):
    """Which photos and captions; see `CaptionedPhotosRecipe` for the rest.

    With `precompute_features` a tower that does not learn sees each photo and each caption once, before training.

    Args:
        mirror: Show each photo as it is or mirrored left to right, drawn anew each time, in training alone.
    """

    mirror: bool = False


@dataclass(frozen=True, kw_only=True)
class DualTrainingRecipe(OptimiserRecipe):
    """The optimisation of the heads and of the towers that learn; see `OptimiserRecipe` for the rest.

    The temperature has no weight decay.

    Args:
        epochs: Passes over the data; in each, every caption is shown once.
        batch_size: Most pairs that are compared with one another at once. An epoch is cut into
            batches of equal size, the last one perhaps a few pairs smaller; the captions of one photo go to different
            ones.
        epsilon: AdamW's, in the denominator.
        warmup_share: Share of all steps in which the learning rate grows linearly to its highest.
    """

    epochs: int
    batch_size: int = 1024
    learning_rate: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-8
    warmup_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("training.epochs", self.epochs, 1)
        at_least("training.batch_size", self.batch_size, 2)  # one pair has nothing to be told from
        above_zero("training.epsilon", self.epsilon)
        share("training.warmup_share", self.warmup_share)


@dataclass(frozen=True, kw_only=True)
class DualEvaluationRecipe:
    """What is looked at while training, and which weights are kept.

    Args:
        every: Epochs between two evaluations; a checkpoint is written at each, and at the end.
        photos: Validation photos, with all their captions. None: all.
        batch_size: Photos encoded at a time, where the image tower learns.
        metric: `recall` keeps the weights of the highest mean of R@10 from text to image and from image to text,
            `loss` those of the lowest loss over one caption of each photo, all compared at once.
    """

    every: int = 1
    photos: int | None = None
    batch_size: int = 32
    metric: str = "recall"

    def __post_init__(self) -> None:
        one_of("evaluation.metric", self.metric, METRICS)
        at_least("evaluation.every", self.every, 1)
        at_least("evaluation.photos", self.photos, 2)
        at_least("evaluation.batch_size", self.batch_size, 1)


@dataclass(frozen=True, kw_only=True)
class DualRecipe:
    """A whole training run of a dual encoder as data.

    Args:
        description: What the run makes, in a sentence.
        source: Where the numbers come from: the section of a paper, the file of its code, or the trial behind them.
        license: Licence of what is trained, for its model card; an identifier the Hub knows, e.g. `apache-2.0`.
        data_terms: Terms of the training data, for the model card.
    """

    description: str
    source: str
    model: DualModelRecipe
    data: DualDataRecipe
    training: DualTrainingRecipe
    evaluation: DualEvaluationRecipe = field(default_factory=DualEvaluationRecipe)
    license: str | None = None
    data_terms: str | None = None

    def precomputes(self, tower: str) -> bool:
        """Whether the features of `"image"` or `"text"` are computed once, before training."""
        return self.data.precompute_features and tower not in self.model.trained_towers
