"""Opening photos: one way in for every file, an RGB picture or an error that names the file and the reason."""

from __future__ import annotations

import io
import logging
import math
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from linmap.errors import TooManyUnreadableImagesError, UnreadableImageError

__all__ = [
    "MAX_ASPECT_RATIO",
    "MAX_JPEG_PIXELS",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "EncodedPhoto",
    "Photo",
    "UnreadableImages",
    "open_photo",
]

logger = logging.getLogger(__name__)

MAX_PIXELS = 89_478_485
"""Largest photo that is decoded, in pixels (256 MiB of RGB; above it Pillow warns of a decompression bomb)."""

MAX_JPEG_PIXELS = 2 * MAX_PIXELS
"""Largest JPEG, in pixels: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size, so that it takes less memory."""

MAX_ASPECT_RATIO = 1000
"""Longest over shortest side. Resizing the shortest side to 224 pixels makes a longer strip exceed `MAX_PIXELS`."""

KEPT_PIXELS = 25_000_000
"""A photo with more pixels is shrunk by a whole factor: encoders look at a few hundred pixels a side."""

PHOTO_SUFFIXES = (".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""What counts as a photo in a folder; a file that is named itself may be called anything."""

_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error, zlib.error)
_open_lock = threading.Lock()  # warnings.catch_warnings is not safe between threads


@dataclass(frozen=True, slots=True)
class EncodedPhoto:
    """The bytes of an image file that is not on disk, such as a cell of a `datasets` column.

    Args:
        name: What errors call it.
        data: The file's bytes.
    """

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


Photo: TypeAlias = str | Path | EncodedPhoto | Image.Image
"""What `open_photo` opens: a path, the bytes of a file, or a picture already decoded."""


def open_photo(photo: Photo) -> Image.Image:
    """Opens `photo` as an RGB picture, 8 bits a channel, upright, detached from its file.

    EXIF rotation is applied (a damaged EXIF block counts as none); of an animation the first frame is taken;
    transparency is laid on white; 16-bit grey is scaled to 8 bits; CMYK, palettes and grey become RGB. A photo of more
    than 25 million pixels comes back smaller, by a whole factor.

    Raises:
        UnreadableImageError: With the path and the reason: no such file, a directory, not an image, damaged or cut off,
            too many pixels (`MAX_PIXELS`, `MAX_JPEG_PIXELS`), too long a strip (`MAX_ASPECT_RATIO`), or 32-bit values
            whose range the file does not tell.

    Example:
        >>> open_photo(Image.new("RGBA", (2, 1))).getpixel((0, 0))
        (255, 255, 255)
    """
    if isinstance(photo, Image.Image):
        name = getattr(photo, "filename", "") or f"a picture of mode {photo.mode}"
    else:
        name = str(photo)
    try:
        if isinstance(photo, Image.Image):
            _check_size(photo, name)
            return _rgb(photo, name)
        with _opened(photo) as image:
            return _rgb(image, name)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError(name, _why_unidentified(photo)) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(name, f"it has more than {MAX_JPEG_PIXELS:,} pixels; shrink it first") from error
    except PermissionError as error:
        raise UnreadableImageError(name, "you may not read this file; change its permissions") from error
    except MemoryError as error:
        raise UnreadableImageError(name, "there is not enough memory to decode it; shrink it first") from error
    except _DECODING_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:  # the operating system's word, not Pillow's
            raise UnreadableImageError(name, f"it cannot be opened ({error.strerror}); check the path") from error
        raise UnreadableImageError(name, f"the file is damaged or cut off ({error}); fetch it again") from error


class UnreadableImages:
    """Counts the photos that cannot be read, and stops at one more than `limit`; none is ever replaced by another.

    Args:
        limit: How many photos may be left out. With 0 the first unreadable photo is an error.

    Example:
        >>> unreadable = UnreadableImages(limit=1)
        >>> unreadable.open("nowhere.jpg") is None, len(unreadable.errors)
        (True, 1)
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.errors: list[UnreadableImageError] = []

    def open(self, photo: Photo) -> Image.Image | None:
        """`open_photo(photo)`, or `None` for a photo that is left out.

        Raises:
            UnreadableImageError: The photo cannot be read and `limit` is 0.
            TooManyUnreadableImagesError: It is one more than `limit`.
        """
        try:
            return open_photo(photo)
        except UnreadableImageError as error:
            self.leave_out(error)
            return None

    def leave_out(self, *errors: UnreadableImageError) -> None:
        """Counts and names `errors`; raises when they are too many."""
        self.errors.extend(errors)
        if len(self.errors) > self.limit:
            if len(self.errors) == 1:
                raise self.errors[0]
            raise TooManyUnreadableImagesError([error.image for error in self.errors], self.limit) from self.errors[-1]
        for number, error in enumerate(errors, start=len(self.errors) - len(errors) + 1):
            logger.warning("Left out (%d of at most %d): %s", number, self.limit, error)


def _opened(photo: str | Path | EncodedPhoto) -> Image.Image:
    """The undecoded picture, its size checked."""
    if isinstance(photo, EncodedPhoto):
        source: Path | io.BytesIO = io.BytesIO(photo.data)
        size = len(photo.data)
    else:
        source = Path(photo)
        if source.is_dir():
            raise UnreadableImageError(str(photo), "it is a directory; name the photos in it")
        if not source.exists():
            raise UnreadableImageError(str(photo), "there is no such file; check the path")
        size = source.stat().st_size
    if size == 0:
        raise UnreadableImageError(str(photo), "the file is empty; fetch it again")
    with _open_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # own bounds below
        image = Image.open(source)
    try:
        _check_size(image, str(photo))
    except UnreadableImageError:
        image.close()
        raise
    if (factor := _shrinking(image)) > 1:
        factor = 1 << (factor - 1).bit_length()  # JPEG decodes at 1/2, 1/4, 1/8; the other formats ignore a draft
        image.draft(image.mode, (image.width // factor, image.height // factor))
    return image


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    bound = MAX_JPEG_PIXELS if isinstance(image, JpegImageFile) else MAX_PIXELS
    if width * height > bound:
        found = f"it is {width} x {height} = {width * height:,} pixels; at most {bound:,} are decoded"
        raise UnreadableImageError(name, f"{found} ({image.format}); shrink it first")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        found = f"it is {width} x {height}, a strip more than {MAX_ASPECT_RATIO} times as long as it is narrow"
        raise UnreadableImageError(name, f"{found}; crop it first")


def _shrinking(image: Image.Image) -> int:
    """The whole factor that brings `image` to at most `KEPT_PIXELS`."""
    return math.ceil(math.sqrt(image.width * image.height / KEPT_PIXELS))


def _rgb(image: Image.Image, name: str) -> Image.Image:
    image.load()
    rgb = _flat(_upright(image, name), name)
    factor = _shrinking(rgb)
    return rgb.reduce(factor) if factor > 1 else rgb


def _upright(image: Image.Image, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "Corrupt EXIF data"
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            return ImageOps.exif_transpose(image) if turned else image
    except _DECODING_ERRORS as error:
        logger.warning("%s: its EXIF block is damaged (%s); taken as upright", name, error)
        return image


def _flat(image: Image.Image, name: str) -> Image.Image:
    """Any mode to RGB."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):
        values = np.asarray(image).astype(np.uint32).clip(0, 65535)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if mode in ("I", "F"):
        raise UnreadableImageError(
            name, f"it holds 32-bit values (mode {mode}) of unknown range; save it as 8 or 16 bits"
        )
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _why_unidentified(photo: Photo) -> str:
    if isinstance(photo, EncodedPhoto):
        start = photo.data[:256]
    else:
        with Path(str(photo)).open("rb") as file:
            start = file.read(256)
    if start[4:8] == b"ftyp":
        return "it is HEIC, AVIF or a video, which Pillow cannot read here; save it as JPEG or PNG"
    if start.isascii() and b"\0" not in start:
        return "it holds text, whatever its name says; give a JPEG, PNG, WebP, GIF, TIFF or BMP file"
    return "its bytes are no image that Pillow knows; give a JPEG, PNG, WebP, GIF, TIFF or BMP file"
