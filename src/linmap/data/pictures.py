"""What a processor takes as images: paths, URLs, pictures and arrays, alone or in lists, or none at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from PIL.Image import Image
from transformers import AutoImageProcessor, BaseImageProcessor, BatchFeature
from transformers.image_utils import make_flat_list_of_images

from linmap.data.images import open_photo
from linmap.errors import ConfigurationError

__all__ = ["NoImageProcessor", "pictures_in_order"]

REMOTE = ("http://", "https://", "data:")  # what transformers fetches or decodes


class NoImageProcessor(BaseImageProcessor):
    """Stands where an image processor would, for a model that takes precomputed features only; it refuses images."""

    def preprocess(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """Refuses images.

        Args:
            images: As in transformers.
            *args: As in transformers.
            **kwargs: As in transformers.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError("This processor has no image processor: its model takes image_features only.")


def pictures_in_order(images: Any, image_processor: BaseImageProcessor) -> list[Any]:
    """The images in reading order, photos opened; arrays and tensors stay as they are.

    Args:
        images: One PIL image, path or URL, a list, or a list of lists.
        image_processor: Fetches what is on the network.

    Raises:
        UnreadableImageError: Names the photo that cannot be read, and why.
    """
    if isinstance(images, str) and images.startswith(REMOTE):
        return [image_processor.fetch_images(images)]
    if isinstance(images, str | Path | Image):
        return [open_photo(images)]
    if isinstance(images, list | tuple):
        return [picture for image in images for picture in pictures_in_order(image, image_processor)]
    return list(cast("list[Any]", make_flat_list_of_images(images)))


# by itself: nothing but its own name in a saved processor may lead to it
AutoImageProcessor.register(
    NoImageProcessor, image_processor_classes={"pil": NoImageProcessor, "torchvision": NoImageProcessor}, exist_ok=True
)
