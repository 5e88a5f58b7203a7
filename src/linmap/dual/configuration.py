"""Configuration of a dual encoder (CLIP, arXiv 2103.00020)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from linmap.encoders.configuration import ImageEncoderConfig
from linmap.errors import ConfigurationError, UnknownNameError
from linmap.sharing import SharedConfig
from linmap.text_encoders.configuration import TextEncoderConfig

__all__ = ["CHECKPOINT_CONTENTS", "LOSSES", "TOWERS", "DualEncoderConfig"]

TOWERS = ("image", "text")
LOSSES = ("softmax", "sigmoid")
CHECKPOINT_CONTENTS = ("learned", "full")
SIGLIP_BIAS = -10.0  # arXiv 2303.15343, section 3.2


class DualEncoderConfig(SharedConfig):
    """Two towers, which of them learns, and the space they share.

    Args:
        vision_config: Configuration of the image encoder; None for a model that is fed image features only.
        text_config: Configuration of the text encoder; None for a model that is fed text features only.
        image_feature_dim: Width of an image's feature, in channels; follows from the encoder where there is one.
        text_feature_dim: Likewise for a text.
        projection_dim: Width of the shared space, in channels.
        image_projection: Whether a linear head maps image features into the shared space; False where the encoder's
            own output is the embedding (SigLIP, CLIP's ResNets).
        text_projection: Likewise for texts.
        mirror: Whether an image's feature is the mean of those of the image and of its mirror image, which takes twice
            the time.
        image_dropout: Probability of dropout on image features in front of the head, while training.
        text_dropout: Likewise for texts.
        trained_towers: The towers that learn, of `"image"` and `"text"`; the heads always do. None of them: two
            linear maps. `["text"]`: locked-image tuning (LiT, arXiv 2111.07991). Both: CLIP.
        loss: `"softmax"`, CLIP's symmetric cross entropy (section 2.3), or `"sigmoid"`, SigLIP's (arXiv 2303.15343).
        mini_batch_size: Pairs that go through a learning tower at a time while training (gradient caching, arXiv
            2101.06983): memory does not grow with the batch, the gradient is the same. None: all at once.
        logit_scale_init_value: Start of the logarithm of the temperature's inverse (section 2.5: log(1/0.07)).
        logit_bias_init_value: Start of the bias on the logits; None for none (softmax needs none), or SigLIP's -10.
        backbones: Fingerprints of the frozen towers, under `"image_encoder"` and `"text_encoder"`.
        checkpoint_contents: `"learned"`: a checkpoint holds what was learned, and frozen towers are found by
            `backbones`; `"full"`: it holds them too.

    Raises:
        UnknownNameError: A word that is not known.
        ConfigurationError: Numbers that do not fit together.

    Example:
        >>> config = DualEncoderConfig(image_feature_dim=1280, text_feature_dim=384, projection_dim=512)
        >>> config.trained_towers, round(config.logit_scale_init_value, 4)
        ([], 2.6593)
    """

    model_type = "dual_encoder"
    sub_configs_defaults: ClassVar = {
        "vision_config": SubConfigSpec(config_class=ImageEncoderConfig, optional=True),
        "text_config": SubConfigSpec(config_class=TextEncoderConfig, optional=True),
    }

    vision_config: Any = None  # an ImageEncoderConfig, or its dictionary, which becomes one
    text_config: Any = None  # likewise a TextEncoderConfig
    image_feature_dim: Any = None  # an int once it is known; the model refuses to be built without it
    text_feature_dim: Any = None  # likewise
    projection_dim: int = 512
    image_projection: bool = True
    text_projection: bool = True
    mirror: bool = False
    image_dropout: float = 0.0
    text_dropout: float = 0.0
    trained_towers: list[str] | None = None
    loss: str = "softmax"
    mini_batch_size: int | None = None
    logit_scale_init_value: float = math.log(1 / 0.07)
    logit_bias_init_value: float | None = None
    backbones: dict | None = None
    checkpoint_contents: str = "learned"

    def __post_init__(self, **kwargs: Any) -> None:
        if self.loss not in LOSSES:
            raise UnknownNameError("loss", self.loss, LOSSES)
        if self.checkpoint_contents not in CHECKPOINT_CONTENTS:
            raise UnknownNameError("checkpoint_contents", self.checkpoint_contents, CHECKPOINT_CONTENTS)
        self.trained_towers = list(self.trained_towers or [])
        for tower in self.trained_towers:
            if tower not in TOWERS:
                raise UnknownNameError("tower", tower, TOWERS)
        super().__post_init__(**kwargs)
        self.backbones = self.backbones or {}
        if self.vision_config is not None:
            self.image_feature_dim = self.vision_config.pooled_dim
        if self.text_config is not None:
            self.text_feature_dim = self.text_config.feature_dim
        if self.loss == "sigmoid" and self.logit_bias_init_value is None:
            self.logit_bias_init_value = SIGLIP_BIAS
        self._check_sizes()

    def _check_sizes(self) -> None:
        for name in ("projection_dim", "mini_batch_size", "image_feature_dim", "text_feature_dim"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; it must be at least 1.")
        for name in ("image_dropout", "text_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must lie in [0, 1).")
        for tower in TOWERS:
            width = getattr(self, f"{tower}_feature_dim")
            if not getattr(self, f"{tower}_projection") and width not in (None, self.projection_dim):
                raise ConfigurationError(
                    f"{tower}_projection is False, so the {tower} features are the embeddings, but they have {width} "
                    f"channels and projection_dim is {self.projection_dim}. Set it to {width}, or leave the head in."
                )
        for tower, config in (("image", self.vision_config), ("text", self.text_config)):
            if config is None and tower in (self.trained_towers or []):
                raise ConfigurationError(f"trained_towers names {tower!r}, but the model holds no {tower} encoder.")


AutoConfig.register(DualEncoderConfig.model_type, DualEncoderConfig, exist_ok=True)
