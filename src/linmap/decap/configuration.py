"""Configuration of DeCap (arXiv 2303.03032)."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers.configuration_utils import PreTrainedConfig, SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from linmap.errors import ConfigurationError, UnknownNameError
from linmap.sharing import SharedConfig

__all__ = ["CHECKPOINT_CONTENTS", "DECODING", "STRATEGIES", "DeCapConfig", "paper_decoder"]

CHECKPOINT_CONTENTS = ("learned", "full")
DECODING = ("projection", "nearest", "visual")
"""Strategies that decode a latent: the paper's projection-based (PD), nearest-neighbour (NND), visual decoding (VD)."""
STRATEGIES = (*DECODING, "retrieval")
"""All of them; retrieval (CLIPRe in the paper) gives the nearest caption of the memory as it stands."""


def paper_decoder() -> PreTrainedConfig:
    """The paper's decoder (its code): GPT-2 of 4 layers and 4 heads, 768 wide, from scratch."""
    from transformers import GPT2Config  # imported with this module it would come amid the Auto classes

    return GPT2Config(n_layer=4, n_head=4, n_embd=768)


class DeCapConfig(SharedConfig):
    """The latent space, the decoder, and how a photo's latent is brought among those of texts.

    Args:
        text_config: Configuration of the decoder, any causal language model; None takes the paper's.
        latent_dim: Width of a latent, in channels: `projection_dim` of the dual encoder.
        prefix_length: Vectors that a latent becomes in front of the text. The paper has one; more of them in front of a
            frozen language model make a linear vision prefix that learns from text alone.
        train_decoder: Whether the decoder learns and is saved, or is frozen and found by `backbones`.
        label_smoothing: Of the loss (0.1 in the paper's code).
        latent_noise: Standard deviation of the Gaussian noise added to each channel of a latent in training (CapDec,
            arXiv 2211.00575). The paper has none.
        strategy: What `generate` does with photos unless told otherwise; one of `STRATEGIES`.
        tau: Temperature of the projection (equation 3; 1/100 in the paper's code).
        text_tower: Fingerprint of the text side of the dual encoder whose latents the decoder learned from.
        backbones: Fingerprints of `"dual_encoder"` and, where it is frozen, of `"decoder"`.
        checkpoint_contents: `"learned"`: a checkpoint holds what was learned and the memory, and the rest is found by
            `backbones`; `"full"`: it holds that too.

    Raises:
        UnknownNameError: A word that is not known.
        ConfigurationError: A number out of its range.

    Example:
        >>> config = DeCapConfig()
        >>> config.latent_dim, config.hidden_size, config.text_config.n_layer, config.strategy, config.tau
        (512, 768, 4, 'projection', 0.01)
    """

    model_type = "decap"
    sub_configs_defaults: ClassVar = {"text_config": SubConfigSpec(config_class=AutoConfig, model_type="gpt2")}

    text_config: Any = None  # a decoder's configuration, or its dictionary, which becomes one
    latent_dim: int = 512
    prefix_length: int = 1
    train_decoder: bool = True
    label_smoothing: float = 0.1
    latent_noise: float = 0.0
    strategy: str = "projection"
    tau: float = 0.01
    text_tower: dict | None = None
    backbones: dict | None = None
    checkpoint_contents: str = "learned"
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.strategy not in STRATEGIES:
            raise UnknownNameError("strategy", self.strategy, STRATEGIES)
        if self.checkpoint_contents not in CHECKPOINT_CONTENTS:
            raise UnknownNameError("checkpoint_contents", self.checkpoint_contents, CHECKPOINT_CONTENTS)
        if self.text_config is None:
            self.text_config = paper_decoder()
        super().__post_init__(**kwargs)
        self.backbones = self.backbones or {}
        self.tie_word_embeddings = bool(getattr(self.text_config, "tie_word_embeddings", False))
        for name in ("latent_dim", "prefix_length"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if not self.tau > 0:
            raise ConfigurationError(f"tau is {self.tau}; it must be above 0 (the paper's is 0.01).")
        if not self.latent_noise >= 0:  # NaN, too
            raise ConfigurationError(f"latent_noise is {self.latent_noise}; it must be at least 0.")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ConfigurationError(f"label_smoothing is {self.label_smoothing}; it must lie in [0, 1).")

    @property
    def hidden_size(self) -> int:
        """Width of the decoder's input embeddings, in channels."""
        text = self.text_config.get_text_config(decoder=True)
        # OPT-350m embeds in word_embed_proj_dim channels and widens them inside
        return getattr(text, "word_embed_proj_dim", None) or text.hidden_size


AutoConfig.register(DeCapConfig.model_type, DeCapConfig, exist_ok=True)
