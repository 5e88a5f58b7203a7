"""The window that LiMBeR's code cuts for NF-ResNet50, at random as the original, and its deterministic middle."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision import transforms
from transformers import AutoImageProcessor

from linmap.encoders import ImageEncoderConfig, image_processor_for, load_encoder
from linmap.encoders.preprocessing import PREPROCESSINGS, LinmapImageProcessor, named_preprocessing
from linmap.encoders.window import centre_window
from linmap.errors import EncoderError, UnknownNameError

SIZES = [(640, 480), (480, 640), (250, 200), (385, 383), (384, 384), (383, 900), (1, 1)]


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def framed(photo: Image.Image, side: int) -> Image.Image:
    """PIL's own: a border of negative width cuts off."""
    across, down = side - photo.width, side - photo.height
    return ImageOps.expand(photo, (across // 2, down // 2, across - across // 2, down - down // 2))


def pixels(name: str, photo: Image.Image) -> torch.Tensor:
    processor = image_processor_for(ImageEncoderConfig(preprocessing=named_preprocessing(name)))
    return processor(photo, return_tensors="pt")["pixel_values"][0]


@pytest.mark.parametrize("size", SIZES)
def test_the_middle_is_cut_off_or_framed_as_pil_does_it(size: tuple[int, int]) -> None:
    photo = noise(size)
    assert torch.equal(pixels("limber-nfrn50", photo), transforms.ToTensor()(framed(photo, 384)))


@pytest.mark.parametrize("size", SIZES)
def test_at_random_the_pixels_are_those_of_torchvision_under_the_same_seeds(size: tuple[int, int]) -> None:
    """The original's steps for what it has left of the photo: enlarge by up to one pixel, crop, flip."""
    photo = noise(size)
    for seed in range(6):
        random.seed(seed)
        torch.manual_seed(seed)
        enlarged = transforms.Resize(random.randint(384, 385))(framed(photo, 384))
        steps = [transforms.RandomCrop(384), transforms.RandomHorizontalFlip(0.5), transforms.ToTensor()]
        wanted = transforms.Compose(steps)(enlarged)
        random.seed(seed)
        torch.manual_seed(seed)
        assert torch.equal(pixels("limber-nfrn50-random", photo), wanted)


def test_no_window_is_taken_unless_it_is_asked_for() -> None:
    assert "window" not in LinmapImageProcessor().to_dict()


def test_a_window_is_saved_with_the_processor(tmp_path: Path) -> None:
    processor = image_processor_for(ImageEncoderConfig(preprocessing=named_preprocessing("limber-nfrn50")))
    processor.save_pretrained(tmp_path)
    again = AutoImageProcessor.from_pretrained(tmp_path)
    photo = noise((90, 70))
    assert torch.equal(again(photo, return_tensors="pt")["pixel_values"], pixels("limber-nfrn50", photo)[None])


def test_an_encoder_takes_the_preprocessing_it_is_told_and_its_side() -> None:
    encoder = load_encoder("timm:test_resnet", pretrained=False, preprocessing="limber-nfrn50")
    assert encoder.config.image_size == 384
    assert image_processor_for(encoder.config).to_dict()["window"] == "centre"


def wrong(**arguments: Any) -> None:
    load_encoder("timm:test_resnet", pretrained=False, **arguments)


def test_wrong_words_and_sizes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=f"Unknown preprocessing 'limber'.* Known: {', '.join(PREPROCESSINGS)}"):
        wrong(preprocessing="limber")
    with pytest.raises(EncoderError, match="image_size=224 was asked for, and the preprocessing makes images of 384"):
        wrong(preprocessing="limber-nfrn50", image_size=224)
    with pytest.raises(UnknownNameError, match="Unknown window 'middle'"):
        LinmapImageProcessor(window="middle")


def test_a_photo_without_pixels_to_spare_is_framed_in_black() -> None:
    window = centre_window(np.full((3, 2, 2), 9, np.uint8), 4)
    assert window[0].tolist() == [[0, 0, 0, 0], [0, 9, 9, 0], [0, 9, 9, 0], [0, 0, 0, 0]]
