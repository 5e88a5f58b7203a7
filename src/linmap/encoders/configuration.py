"""The configuration of a frozen image encoder: enough to rebuild it offline, its numbers, and whose weights it had."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig

from linmap.encoders.tower import LIBRARIES
from linmap.errors import UnknownNameError

__all__ = ["ImageEncoderConfig"]


class ImageEncoderConfig(PreTrainedConfig):
    """A frozen image encoder. `load_encoder` makes it; few write it by hand.

    Args:
        library: `"timm"`, `"open_clip"` or `"transformers"`.
        architecture: The library's name of the architecture.
        model_args: What completes the architecture, as the library's tower takes it.
        feature_dim: Channels of one grid feature.
        pooled_dim: Channels of the pooled feature.
        grid: Height and width of the feature grid, in cells.
        image_size: Side of the square input image, in pixels.
        fingerprint: `Fingerprint.to_dict()` of the weights.
        preprocessing: The image processor's `to_dict()`.
    """

    model_type = "linmap_image_encoder"

    library: str = "timm"
    architecture: str = "tf_efficientnet_lite0"
    model_args: dict[str, Any] | None = None
    feature_dim: int = 1280
    pooled_dim: int = 1280
    grid: list[int] | None = None
    image_size: int = 224
    fingerprint: dict[str, Any] | None = None
    preprocessing: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Checks the library's name and replaces missing containers by those of the default encoder."""
        if self.library not in LIBRARIES:
            raise UnknownNameError("encoder library", self.library, LIBRARIES)
        self.model_args = dict(self.model_args or {})
        self.grid = [7, 7] if self.grid is None else [int(side) for side in self.grid]
        super().__post_init__(**kwargs)


# Importing the Auto class imports every configuration of linmap, which need this one: hence here and not above.
from transformers.models.auto.configuration_auto import AutoConfig  # noqa: E402

AutoConfig.register(ImageEncoderConfig.model_type, ImageEncoderConfig, exist_ok=True)
