"""One contract for frozen image encoders of timm, open_clip and transformers: grid features and pooled features."""

from __future__ import annotations

from torch import Tensor

from linmap.encoders.configuration import ImageEncoderConfig
from linmap.encoders.frozen import FrozenEncoder
from linmap.encoders.tower import Tower, tower_class
from linmap.errors import EncoderError

__all__ = ["ImageEncoder"]


class ImageEncoder(FrozenEncoder):
    """An image encoder, frozen unless someone turns its gradients on; a frozen one stays in eval mode.

    Built from a configuration alone it has random weights; `load_encoder` gives the pretrained ones.

    Args:
        config: The architecture and its numbers.
        tower: The network with its weights; None builds it from the configuration (also on the meta device).

    Example:
        >>> import torch
        >>> from linmap.encoders import load_encoder
        >>> encoder = load_encoder("timm:test_vit", pretrained=False, seed=0)
        >>> pixel_values = torch.zeros(2, 3, encoder.config.image_size, encoder.config.image_size)
        >>> encoder.grid_features(pixel_values).shape, encoder.pooled_features(pixel_values).shape
        (torch.Size([2, 100, 64]), torch.Size([2, 1, 64]))
    """

    config: ImageEncoderConfig
    config_class = ImageEncoderConfig
    main_input_name = "pixel_values"
    input_modalities = "image"
    _no_split_modules = ["ImageEncoder"]  # noqa: RUF012 (as transformers declares it)
    _width_before_projection = "pooled_dim"

    def __init__(self, config: ImageEncoderConfig, tower: Tower | None = None) -> None:
        super().__init__(config, tower or tower_class(config.library)(config.architecture, config.model_args or {}))

    def forward(self, pixel_values: Tensor) -> Tensor:
        """The same as `grid_features`."""
        return self.grid_features(pixel_values)

    def grid_features(self, pixel_values: Tensor) -> Tensor:
        """One feature for each cell of the grid, row by row (token = row * width + column), without class tokens.

        Args:
            pixel_values: Preprocessed images (batch, 3, image_size, image_size), cast to the encoder's dtype.

        Returns:
            (batch, num_tokens, feature_dim), in the encoder's dtype.

        Raises:
            EncoderError: The images have another size.
        """
        return self.tower.grid_features(self._checked(pixel_values)).flatten(1, 2)

    def pooled_features(self, pixel_values: Tensor) -> Tensor:
        """The encoder's own pooling (global average, class token, attention pooling), as one token.

        Args:
            pixel_values: Preprocessed images (batch, 3, image_size, image_size), cast to the encoder's dtype.

        Returns:
            (batch, 1, pooled_dim), in the encoder's dtype.

        Raises:
            EncoderError: The images have another size.
        """
        return self.tower.pooled_features(self._checked(pixel_values)).unsqueeze(1)

    @property
    def feature_dim(self) -> int:
        """Channels of one grid feature."""
        return self.config.feature_dim

    @property
    def pooled_dim(self) -> int:
        """Channels of the pooled feature; attention pooling may change the width."""
        return self.config.pooled_dim

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the feature grid, in cells."""
        height, width = self.config.grid or (0, 0)
        return height, width

    @property
    def num_tokens(self) -> int:
        """Grid features of one image."""
        height, width = self.grid
        return height * width

    def _checked(self, pixel_values: Tensor) -> Tensor:
        side = self.config.image_size
        if pixel_values.ndim != 4 or tuple(pixel_values.shape[1:]) != (3, side, side):
            raise EncoderError(
                f"The image encoder {self.config.architecture!r} takes pixel_values of shape (batch, 3, {side}, {side})"
                f", not {tuple(pixel_values.shape)}. Use the image processor that belongs to it, or load it with "
                "another image_size."
            )
        return pixel_values.to(self.dtype)
