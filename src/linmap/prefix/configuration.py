"""Configuration of the linear vision prefix (LiMBeR, arXiv 2209.15162)."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from linmap.encoders.configuration import ImageEncoderConfig
from linmap.errors import ConfigurationError, UnknownNameError
from linmap.sharing import SharedConfig

__all__ = ["CHECKPOINT_CONTENTS", "FEATURES", "LinearVisionPrefixConfig"]

FEATURES = ("grid", "pooled")
CHECKPOINT_CONTENTS = ("projector", "full")


class LinearVisionPrefixConfig(SharedConfig):
    """What one image becomes on its way into the language model, and which frozen parts stand on either side.

    Args:
        vision_config: Configuration of the frozen image encoder; None for a model that is fed features only.
        text_config: Configuration of the frozen causal language model.
        feature_dim: Width of one image feature, in channels (`h_I` in the paper).
        features: `"grid"` projects every cell of the encoder's grid to one prefix vector; `"pooled"` projects one
            pooled feature to `prefix_length` vectors.
        grid_size: Average the grid down to `grid_size` x `grid_size` cells first; None keeps the encoder's own grid.
        prefix_length: Prefix vectors per image (`k` in the paper) for pooled features; the projection then maps to
            `prefix_length` x hidden channels.
        num_image_tokens: Placeholders one image takes in `input_ids`. Follows from the above where there is an encoder
            or the features are pooled; needed for grid features without an encoder.
        projector_dropout: Probability of dropout on the projected vectors while training (0.1 in the paper's code).
        trained_encoder: Whether the encoder learns with the projection, and is saved with it.
        adapter_downsample: Puts a bottleneck adapter behind each MLP of the language model, so many times narrower than
            its hidden states (MAGMA: 4); they learn and are saved with the projection. None: no adapters.
        image_token_id: Id of the placeholder. It never reaches the embedding table, which is never resized.
        backbones: Fingerprints of the frozen parts, under `"encoder"` and `"language_model"`.
        checkpoint_contents: `"projector"`: a checkpoint holds what was learned, and the frozen parts are found by
            `backbones`; `"full"`: it holds the frozen parts too.

    Raises:
        UnknownNameError: `features` or `checkpoint_contents` is not among the known words.
        ConfigurationError: Numbers that do not fit together.

    Example:
        >>> LinearVisionPrefixConfig(feature_dim=2048, features="pooled", prefix_length=4).num_image_tokens
        4
    """

    model_type = "linear_vision_prefix"
    sub_configs_defaults: ClassVar = {
        "vision_config": SubConfigSpec(config_class=ImageEncoderConfig, optional=True),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="gpt2"),
    }

    vision_config: Any = None  # an ImageEncoderConfig, or its dictionary, which becomes one
    text_config: Any = None  # likewise
    feature_dim: Any = None  # an int once it is known; the model refuses to be built without it
    features: str = "grid"
    grid_size: int | None = None
    prefix_length: int = 1
    num_image_tokens: Any = None  # likewise
    projector_dropout: float = 0.0
    trained_encoder: bool = False
    adapter_downsample: int | None = None
    image_token_id: Any = None  # an int after checking
    backbones: dict | None = None
    checkpoint_contents: str = "projector"
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.features not in FEATURES:
            raise UnknownNameError("features", self.features, FEATURES)
        if self.checkpoint_contents not in CHECKPOINT_CONTENTS:
            raise UnknownNameError("checkpoint_contents", self.checkpoint_contents, CHECKPOINT_CONTENTS)
        super().__post_init__(**kwargs)
        self.backbones = self.backbones or {}
        self.tie_word_embeddings = bool(getattr(self.text_config, "tie_word_embeddings", False))
        if self.image_token_id is None:
            self.image_token_id = self.text_config.get_text_config(decoder=True).vocab_size
        if self.feature_dim is None and self.vision_config is not None:
            vision = self.vision_config
            self.feature_dim = vision.feature_dim if self.features == "grid" else vision.pooled_dim
        self._check_sizes()
        expected = self._tokens_of_one_image()
        if self.num_image_tokens is None:
            self.num_image_tokens = expected
        elif expected is not None and expected != self.num_image_tokens:
            raise ConfigurationError(
                f"num_image_tokens is {self.num_image_tokens}, but features={self.features!r}, "
                f"grid_size={self.grid_size}, prefix_length={self.prefix_length} give {expected} placeholders an "
                "image. Leave num_image_tokens out, or change the others."
            )

    def _check_sizes(self) -> None:
        if self.features == "grid" and self.prefix_length != 1:
            raise ConfigurationError(
                f"prefix_length={self.prefix_length} was given with features='grid', where every cell is one prefix "
                "vector. Use features='pooled', or set the number of cells with grid_size."
            )
        if self.features == "pooled" and self.grid_size is not None:
            raise ConfigurationError(
                f"grid_size={self.grid_size} was given with features='pooled', which has no grid. "
                "Use features='grid', or set prefix_length."
            )
        for name in ("grid_size", "prefix_length", "num_image_tokens", "feature_dim", "adapter_downsample"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; it must be at least 1.")
        if self.trained_encoder and self.vision_config is None:
            raise ConfigurationError(
                "trained_encoder=True, and the model has no encoder. Give one, or leave trained_encoder out."
            )
        if not 0.0 <= self.projector_dropout < 1.0:
            raise ConfigurationError(f"projector_dropout is {self.projector_dropout}; it must lie in [0, 1).")

    def _tokens_of_one_image(self) -> int | None:
        if self.features == "pooled":
            return self.prefix_length
        if self.grid_size is not None:
            return self.grid_size**2
        if self.vision_config is not None:
            return self.vision_config.grid[0] * self.vision_config.grid[1]
        return self.num_image_tokens

    @property
    def hidden_size(self) -> int:
        """Width of the language model's input embeddings, in channels (`h_LM` in the paper)."""
        text = self.text_config.get_text_config(decoder=True)
        # OPT-350m embeds in word_embed_proj_dim channels and widens them inside
        return getattr(text, "word_embed_proj_dim", None) or text.hidden_size


AutoConfig.register(LinearVisionPrefixConfig.model_type, LinearVisionPrefixConfig, exist_ok=True)
