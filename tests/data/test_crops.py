"""Windows of photos: in the photo, with its proportions, the same for the same number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from linmap.data.crops import cropped, random_crop


@given(st.integers(0, 2**31 - 1), st.floats(0.01, 1))
def test_a_window_lies_in_the_photo_has_its_proportions_and_is_no_smaller_than_asked(
    draw: int, smallest: float
) -> None:
    left, top, right, bottom = random_crop(draw, smallest)
    assert min(left, top) >= 0
    assert max(right, bottom) <= 1 + 1e-9
    assert right - left == pytest.approx(bottom - top)
    assert smallest - 1e-9 <= right - left <= 1
    assert random_crop(draw, smallest) == (left, top, right, bottom)


def test_the_whole_photo_is_itself_and_windows_differ() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8))
    assert np.array_equal(np.asarray(cropped(picture, random_crop(3, 1.0))), np.asarray(picture))
    assert len({random_crop(draw, 0.5) for draw in range(50)}) == 50


@given(st.integers(0, 2**31 - 1), st.floats(0.01, 1), st.integers(1, 40), st.integers(1, 40))
def test_a_cropped_picture_has_pixels_however_small_it_is(draw: int, smallest: float, width: int, height: int) -> None:
    size = cropped(Image.new("RGB", (width, height)), random_crop(draw, smallest)).size
    assert 1 <= size[0] <= width
    assert 1 <= size[1] <= height
