"""Questions drawn above photos: one picture holds both, and one tower reads it (arXiv 2212.08045).

The paper draws question and image together; its code for that was never released. Here the question stands on top, in
as many rows as it needs, at most half of the picture, on the background that texts are drawn on. The photo is squashed
into what is left below, as photos are squashed to the tower's square everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linmap.clippo.drawn_rows import BACKGROUND, FONT_SIZE, draw_in_rows
from linmap.clippo.image_processing import resize_without_antialias
from linmap.errors import RenderingError

__all__ = ["DrawnQuestions", "draw_questions"]


class DrawnQuestions(NamedTuple):
    """Questions and photos as pictures.

    Args:
        images: (questions, image_size, image_size, 3) uint8.
        cut: (questions,) bool: something of the question is not in its picture.
    """

    images: NDArray[np.uint8]
    cut: NDArray[np.bool_]


def draw_questions(
    photos: Sequence[Image.Image | NDArray[np.uint8] | None],
    questions: Sequence[str],
    image_size: int,
    text_renderer: Mapping[str, Any],
) -> DrawnQuestions:
    """Draws each question above its photo.

    Args:
        photos: RGB pictures, arrays of them (height, width, 3) uint8, or None for no photo: the background then goes on
            below the question (the blind control).
        questions: One a photo; an empty one leaves the whole picture to the photo.
        image_size: Side of a picture, in pixels; it must hold two rows.
        text_renderer: Keyword arguments of `render_text`.

    Raises:
        RenderingError: The numbers differ, or a picture holds fewer than two rows.

    Example:
        >>> photo = Image.new("RGB", (64, 48), "red")
        >>> drawn = draw_questions([photo], ["what color is this?"], 96, {})
        >>> drawn.images.shape, drawn.images[0, 0, -1].tolist(), drawn.images[0, -1, -1].tolist()
        ((1, 96, 96, 3), [127, 127, 127], [255, 0, 0])
    """
    if len(photos) != len(questions):
        raise RenderingError(f"{len(photos)} photos and {len(questions)} questions; give one photo a question.")
    size = text_renderer.get("font_size", FONT_SIZE)
    room = image_size // 2 // size
    if room < 1:
        raise RenderingError(
            f"A question takes at most half of the picture, and {image_size // 2} pixels hold no row of {size}. Take "
            "a larger image_size or a smaller font_size."
        )
    text = draw_in_rows(questions, image_size, text_renderer)
    images = np.repeat(text.images[..., None], 3, axis=3)
    rows = np.minimum(text.rows, room)
    for place, photo in enumerate(photos):
        start = int(rows[place]) * size
        images[place, start:] = text_renderer.get("background_brightness", BACKGROUND)
        if photo is not None:
            images[place, start:] = resize_without_antialias(np.asarray(photo), image_size, image_size - start)
    return DrawnQuestions(images, text.cut | (text.rows > room))
