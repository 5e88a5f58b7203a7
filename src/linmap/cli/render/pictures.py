"""Where drawn texts go: each into a file of its own, or all onto one sheet."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.errors import RenderingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["check_output", "contact_sheet", "is_folder", "write_picture"]

GAP, WHITE = 4, 255
"""Pixels between the pictures of a sheet, and their brightness."""

LARGEST_SHEET = 2**28
"""Pixels; some 5,000 texts at 224 x 224."""


def is_folder(output: Path) -> bool:
    """Whether pictures go into `output` one by one: it is a folder, or has no ending.

    Raises:
        RenderingError: It cannot be looked up.
    """
    try:
        return output.is_dir() or not output.suffix
    except OSError as error:
        raise RenderingError(f"{output}: cannot be looked up ({error.strerror}); give another name.") from error


def check_output(output: Path, texts: int, image_size: int) -> None:
    """Says what is wrong with the place for the pictures before they are drawn; makes the folder.

    Raises:
        RenderingError: It is no place for them.
    """
    folder = output if is_folder(output) else output.parent
    if folder is not output and output.suffix.lower() != ".png":
        raise RenderingError(f"{output}: pictures are written as .png; name such a file, or a folder (pictures/).")
    if folder is not output and texts * (image_size + GAP) ** 2 > LARGEST_SHEET:
        raise RenderingError(
            f"{texts:,} texts of {image_size} px are too many for one sheet: name a folder, -o pictures/."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RenderingError(f"{folder}: this folder cannot be made ({error.strerror}); name another.") from error
    if not os.access(folder, os.W_OK):
        raise RenderingError(f"{folder}: nothing can be written there; name another folder.")


def contact_sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images side by side, row by row, white between them: (images, size, size) -> (height, width).

    One image stays as it is.
    """
    import numpy as np

    if len(images) == 1:
        return images[0]
    columns = math.ceil(math.sqrt(len(images)))
    rows, step = math.ceil(len(images) / columns), images.shape[1] + GAP
    sheet = np.full((rows * step - GAP, columns * step - GAP), WHITE, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * step, number % columns * step
        sheet[top : top + len(image), left : left + len(image)] = image
    return sheet


def write_picture(image: NDArray[np.uint8], path: Path) -> None:
    """Writes a grey image, (height, width), as PNG.

    Raises:
        RenderingError: It cannot be written.
    """
    from PIL import Image

    try:
        Image.fromarray(image).save(path, format="PNG")
    except OSError as error:
        raise RenderingError(f"{path}: cannot be written ({error.strerror or error}); name another.") from error
