"""A page of photos with what was said about them: one HTML file and its thumbnails, which need no network."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from PIL import Image

__all__ = ["GalleryPhoto", "gallery_page", "thumbnail"]

SIDE = 256
"""Longest side of a thumbnail, in pixels."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True)
class GalleryPhoto:
    """One photo of a gallery.

    Args:
        name: What the photo is called.
        source: Address of its thumbnail, relative to the page; None where there is none.
        size: Width and height of the thumbnail, in pixels.
        captions: What each captioner wrote, by the captioner's name.
        references: What people wrote.
        scores: For each captioner by metric what its caption scored.
        domain: Where the photos have domains.
    """

    name: str
    source: str | None
    size: tuple[int, int]
    captions: Mapping[str, str]
    references: Sequence[str] = ()
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    domain: str | None = None


def thumbnail(picture: Image.Image) -> tuple[bytes, tuple[int, int]]:
    """`picture` as a small JPEG file, no side longer than 256 pixels, and the width and height it has there.

    Example:
        >>> data, size = thumbnail(Image.new("RGB", (1024, 512)))
        >>> data[:2] == b"\\xff\\xd8", size
        (True, (256, 128))
    """
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return file.getvalue(), small.size


def gallery_page(photos: Sequence[GalleryPhoto], *, title: str, notes: Sequence[str] = ()) -> str:
    """The page: every photo with its captions and references, sortable by every score of every captioner.

    It is one HTML file with its style and its script inside, and asks for nothing but the thumbnails; all texts are
    escaped.

    Args:
        photos: In the order in which they stand at first.
        title: Of the page.
        notes: Lines above the photos.

    Example:
        >>> photo = GalleryPhoto("a.jpg", "a.jpg", (8, 8), {"mine": "a <b>dog</b>"}, scores={"mine": {"CIDEr-D": 12.5}})
        >>> page = gallery_page([photo], title="Captions")
        >>> "a &lt;b&gt;dog&lt;/b&gt;" in page, "mine: CIDEr-D" in page
        (True, True)
    """
    keys: dict[tuple[str, str], None] = {}
    for photo in photos:
        keys.update(dict.fromkeys((who, metric) for who, found in photo.scores.items() for metric in found))
    return _TEMPLATES.get_template("gallery.html.jinja").render(
        photos=photos, title=title, notes=notes, keys=list(enumerate(keys))
    )
