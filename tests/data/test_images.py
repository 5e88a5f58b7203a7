"""Reading photos: every kind of odd file is made for real and opened."""

from __future__ import annotations

import io
import logging
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from linmap.data.images import (
    KEPT_PIXELS,
    MAX_ASPECT_RATIO,
    MAX_JPEG_PIXELS,
    MAX_PIXELS,
    EncodedPhoto,
    UnreadableImages,
    open_photo,
)
from linmap.errors import LinmapError, TooManyUnreadableImagesError, UnreadableImageError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png_header(width: int, height: int, bits: int = 8, color: int = 2) -> bytes:
    """A PNG that claims to be so large; its pixels are all missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_an_ordinary_photo_comes_back_pixel_for_pixel(tmp_path):
    noise(7, 5).save(tmp_path / "a.png")
    opened = open_photo(tmp_path / "a.png")
    assert opened.mode == "RGB"
    assert opened.tobytes() == noise(7, 5).tobytes()
    assert type(opened) is Image.Image  # detached from its file


def test_a_path_may_be_a_string(tmp_path):
    noise(7, 5).save(tmp_path / "a.png")
    assert open_photo(str(tmp_path / "a.png")).size == (7, 5)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        UnreadableImageError, match=r"Cannot read .*nowhere\.jpg: there is no such file; check the path\."
    ):
        open_photo(tmp_path / "nowhere.jpg")


def test_a_directory_is_no_photo(tmp_path):
    with pytest.raises(UnreadableImageError, match="it is a directory; name the photos in it"):
        open_photo(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_named(tmp_path):
    noise(7, 5).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").chmod(0)
    with pytest.raises(UnreadableImageError, match="you may not read this file; change its permissions"):
        open_photo(tmp_path / "a.jpg")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: the file is empty"):
        open_photo(tmp_path / "a.jpg")


def test_a_text_file_called_jpg_is_said_to_hold_text(tmp_path):
    (tmp_path / "a.jpg").write_text("I am no photo")
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: it holds text, whatever its name says; give a JPEG"):
        open_photo(tmp_path / "a.jpg")


def test_a_file_of_other_bytes_is_said_to_be_no_image(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(range(256)))
    with pytest.raises(UnreadableImageError, match="its bytes are no image that Pillow knows"):
        open_photo(tmp_path / "a.jpg")


def test_a_phone_format_that_pillow_lacks_is_named(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    with pytest.raises(UnreadableImageError, match=r"HEIC, AVIF or a video.*save it as JPEG or PNG"):
        open_photo(tmp_path / "a.heic")


@pytest.mark.parametrize("kind", ["jpg", "png", "gif", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_off_anywhere_is_a_named_error(tmp_path, kind, share):
    whole = io.BytesIO()
    noise(64, 64).save(whole, {"jpg": "jpeg"}.get(kind, kind))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * share)])
    with pytest.raises(UnreadableImageError, match=rf"Cannot read .*a\.{kind}: "):
        open_photo(path)


def test_a_truncated_jpeg_says_that_it_is_damaged(tmp_path):
    noise(64, 64).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-500])
    with pytest.raises(UnreadableImageError, match=r"damaged or cut off \(image file is truncated .*fetch it again\."):
        open_photo(tmp_path / "a.jpg")


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    assert open_photo(tmp_path / "a.gif").getpixel((2, 2)) == RED


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    opened = open_photo(tmp_path / "a.jpg")
    assert opened.mode == "RGB"
    assert np.abs(np.subtract(opened.getpixel((8, 8)), RED)).max() < 8


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path, suffix):
    ramp = np.array([[0, 256, 257, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(ramp).save(tmp_path / f"a.{suffix}")
    assert np.asarray(open_photo(tmp_path / f"a.{suffix}"))[0, :, 0].tolist() == [0, 1, 1, 128, 255]


def test_values_of_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.array([[0.1, 3e9]], dtype=np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(
        UnreadableImageError, match=r"32-bit values \(mode F\) of unknown range; save it as 8 or 16 bits"
    ):
        open_photo(tmp_path / "a.tiff")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    Image.new(mode, (2, 2), (0, 0, 0, 0) if mode == "RGBA" else (0, 0)).save(tmp_path / "a.png")
    assert open_photo(tmp_path / "a.png").getpixel((0, 0)) == WHITE


def test_half_transparency_is_mixed_with_white():
    assert open_photo(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)


def test_a_palette_with_transparency_is_laid_on_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *BLUE])
    picture.putdata([0, 1])
    picture.save(tmp_path / "a.png", transparency=bytes([0, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_photo(tmp_path / "a.png")
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [WHITE, BLUE]


def test_a_transparent_colour_of_an_opaque_mode_is_laid_on_white(tmp_path):
    Image.new("RGB", (1, 1), RED).save(tmp_path / "a.png", transparency=RED)
    assert open_photo(tmp_path / "a.png").getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr", "LAB", "HSV"])
def test_every_other_mode_becomes_rgb(mode):
    assert (
        open_photo(noise(3, 2).convert("RGB").convert(mode) if mode != "LAB" else Image.new("LAB", (3, 2))).mode
        == "RGB"
    )


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (31, 15)), (6, (15, 0)), (8, (0, 31))])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
def test_exif_rotation_is_applied(tmp_path, orientation, corner, suffix):
    picture = Image.new("RGB", (32, 16), WHITE)
    picture.paste(RED, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"a.{suffix}", exif=exif)
    opened = open_photo(tmp_path / f"a.{suffix}")
    assert opened.size == ((32, 16) if orientation in (1, 3) else (16, 32))
    assert opened.getpixel(corner)[1] < 60


def test_a_damaged_exif_block_leaves_the_photo_as_it_is(tmp_path):
    noise(8, 8).save(tmp_path / "a.jpg", exif=b"Exif\0\0XX\x2a\x00garbage")
    assert open_photo(tmp_path / "a.jpg").size == (8, 8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif"])
def test_a_photo_of_one_pixel_is_read(tmp_path, suffix):
    Image.new("RGB", (1, 1), WHITE).save(tmp_path / f"a.{suffix}")
    assert open_photo(tmp_path / f"a.{suffix}").size == (1, 1)


def test_a_strip_30000_pixels_wide_is_read(tmp_path):
    Image.new("RGB", (30_000, 40)).save(tmp_path / "a.png")
    assert open_photo(tmp_path / "a.png").size == (30_000, 40)


def test_a_photo_30000_pixels_wide_is_decoded_small(tmp_path):
    Image.new("RGB", (30_000, 4_000)).save(tmp_path / "a.jpg")
    opened = open_photo(tmp_path / "a.jpg")
    assert opened.width * opened.height <= KEPT_PIXELS
    assert opened.width / opened.height == pytest.approx(7.5, rel=1e-3)


def test_a_large_png_is_shrunk_by_a_whole_factor():
    opened = open_photo(Image.new("RGB", (8_000, 4_000)))
    assert opened.size == (4_000, 2_000)


def test_a_photo_of_ordinary_size_is_not_shrunk():
    assert open_photo(Image.new("L", (6_000, 4_000))).size == (6_000, 4_000)


def test_a_strip_too_long_to_be_resized_is_an_error(tmp_path):
    Image.new("RGB", (30_000, 1)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=rf"30000 x 1, a strip more than {MAX_ASPECT_RATIO} times.*crop it"):
        open_photo(tmp_path / "a.png")


def test_a_strip_already_decoded_is_an_error_too():
    with pytest.raises(UnreadableImageError, match="30000 x 1, a strip more than"):
        open_photo(Image.new("RGB", (30_000, 1)))


def test_too_many_pixels_are_an_error_before_they_are_decoded(tmp_path):
    (tmp_path / "a.png").write_bytes(png_header(30_000, 3_000))
    with pytest.raises(UnreadableImageError, match=rf"90,000,000 pixels; at most {MAX_PIXELS:,} are decoded \(PNG\)"):
        open_photo(tmp_path / "a.png")


def test_a_decompression_bomb_is_an_error_and_no_warning(tmp_path):
    (tmp_path / "a.png").write_bytes(png_header(30_000, 30_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            UnreadableImageError, match=rf"it has more than {MAX_JPEG_PIXELS:,} pixels; shrink it first"
        ):
            open_photo(tmp_path / "a.png")


def test_a_picture_opened_but_not_yet_decoded_is_checked_too(tmp_path):
    noise(64, 64).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-500])
    with (
        Image.open(tmp_path / "a.jpg") as picture,
        pytest.raises(UnreadableImageError, match=r"a\.jpg: the file is damaged"),
    ):
        open_photo(picture)


def test_the_bytes_of_a_file_are_opened_and_named():
    data = io.BytesIO()
    noise(7, 5).save(data, "png")
    assert open_photo(EncodedPhoto("row 3", data.getvalue())).size == (7, 5)
    with pytest.raises(UnreadableImageError, match="Cannot read row 4: it holds text"):
        open_photo(EncodedPhoto("row 4", b"hello"))
    with pytest.raises(UnreadableImageError, match="Cannot read row 5: the file is empty"):
        open_photo(EncodedPhoto("row 5", b""))


def test_an_unreadable_image_is_a_linmap_error_and_an_os_error():
    assert issubclass(UnreadableImageError, LinmapError)
    assert issubclass(UnreadableImageError, OSError)


def test_the_first_unreadable_image_stops_by_default(tmp_path):
    with pytest.raises(UnreadableImageError, match=r"a\.jpg"):
        UnreadableImages().open(tmp_path / "a.jpg")


def test_unreadable_images_are_left_out_and_named_up_to_the_limit(tmp_path, caplog):
    unreadable = UnreadableImages(limit=2)
    with caplog.at_level(logging.WARNING, "linmap"):
        assert unreadable.open(tmp_path / "a.jpg") is None
        assert unreadable.open(tmp_path / "b.jpg") is None
    assert [error.image for error in unreadable.errors] == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert "a.jpg" in caplog.text
    assert "2 of at most 2" in caplog.text
    with pytest.raises(
        TooManyUnreadableImagesError,
        match=r"3 photos cannot be read, at most 2 may be left out: .*a\.jpg.*c\.jpg\. Fetch",
    ):
        unreadable.open(tmp_path / "c.jpg")


def test_photos_left_out_together_are_counted_one_by_one(caplog):
    errors = [UnreadableImageError(f"{number}.jpg", "it is gone") for number in range(3)]
    UnreadableImages(limit=5).leave_out(*errors)
    assert [f"({number} of at most 5): Cannot read" in caplog.text for number in (1, 2, 3, 4)] == [True] * 3 + [False]


def test_a_path_that_the_operating_system_refuses_is_named(tmp_path):
    with pytest.raises(UnreadableImageError, match=r"it cannot be opened \(File name too long\); check the path"):
        open_photo(tmp_path / ("x" * 300))
