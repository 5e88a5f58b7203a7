"""The configuration of a text encoder: enough to rebuild it offline, its numbers, and whose weights it had."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig

from linmap.errors import UnknownNameError

__all__ = ["LIBRARIES", "POOLINGS", "TextEncoderConfig"]

LIBRARIES = ("open_clip", "transformers")
POOLINGS = ("mean", "cls", "eos", "pooler")


class TextEncoderConfig(PreTrainedConfig):
    """A text encoder. `load_text_encoder` makes it; few write it by hand.

    Args:
        library: `"open_clip"` or `"transformers"`.
        architecture: The library's name of the architecture.
        model_args: What completes the architecture, as the library's tower takes it.
        pooling: Which vector stands for a text: `"mean"` of its tokens, the first token (`"cls"`), the last one, which
            is the end-of-text token where the tokenizer puts one (`"eos"`), or what the model itself calls its pooled
            output (`"pooler"`).
        feature_dim: Channels of that vector.
        context_length: Longest text, in tokens, special tokens included.
        fixed_length: Whether texts are always padded to `context_length`, because the model was trained to read the
            padding (SigLIP).
        pad_token_id: What such a text is padded with: the tokenizer's own, which the model's configuration may not
            know; None where there was no tokenizer to ask.
        fingerprint: `Fingerprint.to_dict()` of the weights.
    """

    model_type = "linmap_text_encoder"

    library: str = "transformers"
    architecture: str = "bert"
    model_args: dict[str, Any] | None = None
    pooling: str = "pooler"
    feature_dim: int = 384
    context_length: int = 512
    fixed_length: bool = False
    pad_token_id: int | None = None
    fingerprint: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Checks the names."""
        if self.library not in LIBRARIES:
            raise UnknownNameError("text encoder library", self.library, LIBRARIES)
        if self.pooling not in POOLINGS:
            raise UnknownNameError("pooling", self.pooling, POOLINGS)
        self.model_args = dict(self.model_args or {})
        super().__post_init__(**kwargs)


# Importing the Auto class imports every configuration of linmap, which need this one: hence here and not above.
from transformers.models.auto.configuration_auto import AutoConfig  # noqa: E402

AutoConfig.register(TextEncoderConfig.model_type, TextEncoderConfig, exist_ok=True)
