"""Photos come to CLIPPO's tower as the original gives them: squashed, interpolated, cut to grey levels, -1..1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from linmap.clippo.image_processing import ClippoImageProcessor, resize_without_antialias, scaled_to_unit_range
from linmap.errors import ConfigurationError


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pixels(image: Any, **kwargs: Any) -> torch.Tensor:
    return ClippoImageProcessor(image_size=32)(images=image, return_tensors="pt", **kwargs)["pixel_values"]


def test_between_two_pixels_levels_are_cut_and_not_rounded() -> None:
    """0 and 255 met at 1/4 and 3/4: 63.75 and 191.25."""
    line = np.array([[[0], [255]]], dtype=np.uint8)
    assert resize_without_antialias(line, 4)[:, :, 0].tolist() == [[0, 63, 191, 255]] * 4


def test_what_lies_between_the_four_pixels_is_not_seen() -> None:
    """Without antialiasing a fifth of the columns of a photo five times as wide is all that counts."""
    photo = noise(64, 64)
    stripes = np.zeros((64, 320, 3), dtype=np.uint8)
    stripes[:, 2::5] = photo
    np.testing.assert_array_equal(resize_without_antialias(stripes, 64), photo)


def test_a_photo_of_the_right_size_is_left_as_it_is() -> None:
    np.testing.assert_array_equal(resize_without_antialias(noise(24, 24), 24), noise(24, 24))


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (3000, 2), (7, 5), (480, 640)])
def test_a_plain_photo_of_any_size_stays_plain(shape: tuple[int, int]) -> None:
    plain = np.full((*shape, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(resize_without_antialias(plain, 224), np.full((224, 224, 3), 77, dtype=np.uint8))


def test_grey_levels_are_scaled_so_that_both_ends_are_met() -> None:
    scaled = scaled_to_unit_range(np.arange(256, dtype=np.uint8))
    assert (scaled[0], scaled[255], scaled.dtype) == (-1, 1, np.float32)
    np.testing.assert_allclose(scaled, np.arange(256) / 127.5 - 1, atol=1e-7)


def test_pictures_arrays_and_tensors_of_one_photo_give_the_same_pixels() -> None:
    photo = noise(40, 50)
    expected = pixels(photo)
    assert expected.shape == (1, 3, 32, 32)
    assert expected.dtype == torch.float32
    for same in (Image.fromarray(photo), torch.tensor(photo), np.moveaxis(photo, -1, 0), photo[None], [photo]):
        assert torch.equal(pixels(same), expected)


def test_grey_and_transparent_pictures_become_three_channels() -> None:
    grey = Image.fromarray(noise(9, 9)).convert("L")
    assert torch.equal(pixels(grey), pixels(grey.convert("RGB")))
    clear = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    assert pixels(clear).min() == 1  # white


def test_the_processor_survives_the_disk_by_its_own_name(tmp_path: Path) -> None:
    ClippoImageProcessor(image_size=96).save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is ClippoImageProcessor
    assert loaded.image_size == 96
    photo = noise(40, 50)
    again = loaded(images=photo, return_tensors="pt")["pixel_values"]
    assert torch.equal(again, ClippoImageProcessor(image_size=96)(images=photo, return_tensors="pt")["pixel_values"])


def test_transformers_finds_the_processor_without_being_told_of_it(tmp_path: Path) -> None:
    ClippoImageProcessor(image_size=96).save_pretrained(tmp_path)
    asked = (
        f"import linmap; from transformers import AutoImageProcessor as A; print(A.from_pretrained({str(tmp_path)!r}))"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert said.startswith("ClippoImageProcessor")


@pytest.mark.parametrize(
    "size",
    [{"image_size": 0}, {"image_size": 2.5}, {"size": {"height": 2, "width": 3}}, {"size": {"shortest_edge": 3}}],
)
def test_a_size_that_is_no_square_is_refused(size: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"CLIPPO's tower sees squares; the size .* Say image_size=…"):
        ClippoImageProcessor(**size)


@pytest.mark.parametrize("kind", [np.float32, np.uint16, bool])
def test_what_is_not_counted_in_grey_levels_is_refused(kind: type) -> None:
    with pytest.raises(ConfigurationError, match=r"An image of \w+ came; .* Pass uint8 arrays, or pictures"):
        pixels(noise(4, 5).astype(kind))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 5), (5, 6, 2), (4,)])
def test_an_array_that_is_no_picture_is_refused_by_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"An image of the shape \(.*\) came"):
        pixels(np.zeros(shape, dtype=np.uint8))
    with pytest.raises(ConfigurationError, match=r"An image of the shape \(.*\) came"):
        pixels([np.zeros(shape, dtype=np.uint8)])
