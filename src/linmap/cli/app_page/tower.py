"""What CLIPPO's tower sees of photos and texts: the squares it is given, cut into patches."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linmap.cli.app_page.models import clippo_folder
from linmap.cli.models import one_line
from linmap.errors import ModelNotFoundError
from linmap.rendering.text import render_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from linmap.clippo.configuration import ClippoConfig
    from linmap.data.images import EncodedPhoto

__all__ = ["Seen", "seen_by_tower", "tower_markup"]


@dataclass(frozen=True)
class Seen:
    """One of the tower's inputs.

    Args:
        name: The photo's, or the text.
        picture: (size, size) or (size, size, 3) uint8.
        patches: Of a side.
        inked: Patches that hold a part of the text; None for a photo.
        lost: Characters of the text that do not fit; 0 for a photo.
    """

    name: str
    picture: NDArray[np.uint8]
    patches: int
    inked: int | None = None
    lost: int = 0


def seen_by_tower(word: str | None, photos: Sequence[EncodedPhoto], texts: Sequence[str]) -> list[Seen]:
    """What a tower is given of photos and texts; needs no weights.

    Args:
        word: A CLIPPO model's, which says itself how it draws; any other model's stands for the paper's ViT-B/16.
        photos: Readable photos.
        texts: Texts that are drawn.

    Raises:
        LinmapError: The model is not there, or reads tokens and draws no texts.
    """
    config, processor = _how(word)
    sides = config.image_size // config.patch_size
    seen = []
    if photos:
        from linmap.data.images import open_photo

        pixels = processor(images=[open_photo(photo) for photo in photos], return_tensors="np")["pixel_values"]
        shown = np.round((np.asarray(pixels) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
        seen += [Seen(photo.name, picture, sides) for photo, picture in zip(photos, shown, strict=True)]
    if texts:
        drawn, overflow = render_text(texts, config.image_size, return_overflow=True, **(config.text_renderer or {}))
        paper = (config.text_renderer or {}).get("background_brightness", 127)
        lost = (overflow.cut + overflow.hidden).tolist()
        for text, picture, characters in zip(texts, drawn, lost, strict=True):
            cells = picture.reshape(sides, config.patch_size, sides, config.patch_size)
            inked = int((cells != paper).any(axis=(1, 3)).sum())
            seen.append(Seen(text, picture, sides, inked, characters))
    return seen


def tower_markup(seen: Iterable[Seen]) -> str:
    """The pictures as HTML, each under the grid of its patches."""
    return f'<div class="tower">{"".join(map(_figure, seen))}</div>'


def _how(word: str | None) -> tuple[ClippoConfig, Any]:
    """Configuration and image processor."""
    from linmap.clippo.configuration import ClippoConfig
    from linmap.clippo.image_processing import ClippoImageProcessor
    from linmap.clippo.processing import ClippoProcessor

    folder = clippo_folder(word)
    if folder is None:
        config = ClippoConfig()
        return config, ClippoImageProcessor(image_size=config.image_size)
    with one_line(folder):
        config = ClippoConfig.from_pretrained(folder)
        processor = ClippoProcessor.from_pretrained(folder).image_processor
    if config.reads_tokens:
        raise ModelNotFoundError(f"The model {word} reads tokens and draws no text. Name one that draws them.")
    return config, processor


def _figure(seen: Seen) -> str:
    buffer = io.BytesIO()
    Image.fromarray(seen.picture).save(buffer, format="PNG")
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    total = seen.patches**2
    said = f"{total} patches" if seen.inked is None else f"text in {seen.inked} of {total} patches"
    if seen.lost:
        said += f"; {seen.lost:,} characters do not fit"
    return (
        f'<figure><div class="patches" style="--patches: {seen.patches}">'
        f'<img src="{source}" alt="What the tower sees"></div>'
        f"<figcaption>{html.escape(seen.name)}<br><small>{said}</small></figcaption></figure>"
    )
