"""What is uploaded to the page: taken as it is, and read by linmap alone, which says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from linmap.data.images import EncodedPhoto, open_photo
from linmap.errors import LinmapError, PhotoNotFoundError, UnreadableImageError

__all__ = ["LARGEST", "photo_input", "photos_input", "thumbnail", "uploaded", "uploaded_all"]

LARGEST = "100mb"
"""Of an uploaded file, in gradio's words."""

THUMBNAIL = 320
"""Longest side of a photo that is shown again, in pixels."""


def photo_input(label: str = "Photo", *, height: int = 320) -> gr.Image:
    """A box for one photo; events get the path of the file as it was uploaded."""
    image = gr.Image(label=label, type="filepath", sources=["upload", "clipboard"], buttons=[], height=height)
    # gradio would open the file here, and say what Pillow says of one that is none. A subclass would have it write a
    # stub file beside this one.
    image.preprocess = _path_of  # type: ignore[method-assign]
    return image


def photos_input(label: str = "Photos") -> gr.File:
    """A box for several photos; events get the paths of the files."""
    return gr.File(label=label, file_count="multiple", height=160)


def uploaded(path: str | None) -> EncodedPhoto:
    """The photo in a box, readable.

    Args:
        path: What the box gave.

    Raises:
        PhotoNotFoundError: There is none.
        UnreadableImageError: It cannot be read; the message calls it by its own name.
    """
    if not path:
        raise PhotoNotFoundError("There is no photo yet. Drop one into the box, or click it to choose one.")
    file = Path(path)
    try:
        photo = EncodedPhoto(file.name, file.read_bytes())
    except OSError as error:
        raise UnreadableImageError(file.name, "it is no longer here; drop it again") from error
    open_photo(photo)
    return photo


def uploaded_all(paths: Sequence[str] | None, most: int) -> tuple[list[EncodedPhoto], list[LinmapError]]:
    """The photos in a box for several, and why others are left out.

    Args:
        paths: What the box gave.
        most: Photos that are taken; those behind are left out.
    """
    photos: list[EncodedPhoto] = []
    left_out: list[LinmapError] = []
    for path in paths or ():
        try:
            if len(photos) == most:
                raise UnreadableImageError(Path(path).name, f"{most} photos are shown at most; take others away")
            photos.append(uploaded(path))
        except LinmapError as error:
            left_out.append(error)
    return photos, left_out


def thumbnail(photo: EncodedPhoto) -> Any:
    """The photo as a picture of at most 320 pixels a side."""
    picture = open_photo(photo)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return picture


def _path_of(payload: Any) -> str | None:
    if payload is None or payload.path is None:
        return None
    # Gradio looks only at files that a request marks as such, so a request without the mark would have any file read.
    if not Path(payload.path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise gr.Error("A photo must be uploaded: the page opens no other file.", print_exception=False)
    return str(payload.path)
