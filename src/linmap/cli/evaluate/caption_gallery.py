"""The gallery of a run: every scored photo with what each captioner and people said about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from linmap.errors import OutputFolderError

if TYPE_CHECKING:
    from linmap.cli.evaluate.caption_run import Run
    from linmap.cli.evaluate.caption_scoring import ScoredRow
    from linmap.data.images import Photo

__all__ = ["GALLERY", "write_gallery"]

GALLERY = "gallery.html"
THUMBNAILS = "thumbnails"


def write_gallery(folder: Path, rows: Sequence[ScoredRow], photos: Sequence[int], run: Run, notes: list[str]) -> Path:
    """Writes the page and, beside it, the thumbnails that are not there yet; returns the page.

    The blind control is not shown: its captions are those of the captioner, under other photos. Photos of which there
    are only features have no picture.

    Args:
        folder: Of the results.
        rows: The captioners and controls.
        photos: The places of the scored photos.
        run: What the photos are.
        notes: Lines above the photos.

    Raises:
        OutputFolderError: Something cannot be written.
    """
    from linmap.cli.evaluate.caption_report import write_file
    from linmap.cli.evaluate.options import Control
    from linmap.cli.progress import ProgressBar
    from linmap.evaluation import GalleryPhoto, gallery_page

    shown = [row for row in rows if row.control is not Control.BLIND]
    cards = []
    with ProgressBar("Gallery", len(photos)) as bar:
        for number, place in enumerate(photos):
            record = run.photos.records[place]
            source = f"{THUMBNAILS}/{place + 1:06d}.jpg" if isinstance(record.image, Path) else None
            cards.append(
                GalleryPhoto(
                    name=run.photos.names[place],
                    source=source,
                    size=(0, 0) if source is None else _thumbnail(record.image, folder / source),
                    captions={row.label: row.captions[number] for row in shown},
                    references=record.captions,
                    scores={
                        row.label: {name: round(of[number], 2) for name, of in row.found.per_photo.items()}
                        for row in shown
                    },
                    domain=record.domain,
                )
            )
            bar.advance()
    write_file(folder / GALLERY, gallery_page(cards, title=f"Captions of {len(photos)} photos", notes=notes))
    return folder / GALLERY


def _thumbnail(photo: Photo, path: Path) -> tuple[int, int]:
    """Width and height of the thumbnail at `path`, which is made where there is none."""
    from PIL import Image

    from linmap.data.images import open_photo
    from linmap.evaluation import thumbnail

    if path.is_file():
        with Image.open(path) as there:  # written whole, or not at all
            return there.size
    data, size = thumbnail(open_photo(photo))
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise OutputFolderError(f"{path} cannot be written ({error.strerror}); make room, or name another.") from error
    return size
