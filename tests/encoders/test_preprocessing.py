"""Each checkpoint keeps its own preprocessing, and it gives the same pixels wherever it is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from transformers import AutoImageProcessor, ProcessorMixin

from linmap.encoders import ImageEncoderConfig, image_processor_for, load_encoder
from linmap.encoders.preprocessing import LinmapImageProcessor, describe, resize_and_crop
from linmap.errors import EncoderError

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
NORMALISED = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]


def processor(**settings: Any) -> LinmapImageProcessor:
    plain: dict[str, Any] = {"crop_fraction": 1.0, "squash": False, "interpolation": "bicubic"}
    size = settings.pop("image_size", 64)
    settings = resize_and_crop(size, **{**plain, "mean": MEAN, "std": STD, **settings})
    found = image_processor_for(ImageEncoderConfig(preprocessing=settings))
    assert isinstance(found, LinmapImageProcessor)
    return found


def pixels(of: Any, image: Image.Image) -> torch.Tensor:
    return of(image, return_tensors="pt")["pixel_values"][0]


@pytest.mark.parametrize("size", [(150, 100), (100, 150), (33, 91), (64, 64), (300, 65)])
@pytest.mark.parametrize(("interpolation", "mode"), [("bicubic", "BICUBIC"), ("bilinear", "BILINEAR")])
def test_pixels_equal_those_of_the_libraries_own_transform(
    photo: Image.Image, size: tuple[int, int], interpolation: str, mode: str
):
    image = photo.resize(size)
    resize = transforms.Resize(71, interpolation=InterpolationMode[mode])
    wanted = transforms.Compose([resize, transforms.CenterCrop(64), *NORMALISED])(image)
    assert torch.equal(pixels(processor(crop_fraction=0.9, interpolation=interpolation), image), wanted)


def test_squashing_keeps_the_whole_photo(photo: Image.Image):
    wanted = transforms.Compose(NORMALISED)(photo.resize((64, 64), Image.Resampling.BICUBIC))
    assert torch.equal(pixels(processor(squash=True), photo), wanted)


def test_pixels_equal_those_of_timm(photo: Image.Image):
    import timm

    encoder = load_encoder("timm:test_vit", pretrained=False)
    data = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg("test_vit").to_dict())
    wanted = timm.data.create_transform(**data, is_training=False)(photo)
    assert torch.equal(pixels(image_processor_for(encoder.config), photo), wanted)


@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000), (1, 1), (3000, 20)])
def test_a_strip_or_a_dot_becomes_a_square_without_filling_the_memory(size: tuple[int, int]):
    assert pixels(processor(), Image.new("RGB", size)).shape == (3, 64, 64)


# T6: transformers' own processors for timm cannot be read back, and its PIL one comes back as torchvision's.


def test_a_saved_image_processor_gives_the_same_pixels(photo: Image.Image, tmp_path: Path):
    before = processor()
    before.save_pretrained(tmp_path)
    after = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(after) is LinmapImageProcessor
    assert after.to_dict() == before.to_dict()
    assert torch.equal(pixels(after, photo), pixels(before, photo))


class Pair(ProcessorMixin):
    """A processor with an image processor and a tokenizer in it, as a captioner has."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any) -> None:
        super().__init__(image_processor, tokenizer, **kwargs)


def test_an_image_processor_survives_inside_a_saved_processor(photo: Image.Image, tmp_path: Path, tiny_tokenizer: Any):
    before = processor()
    Pair(before, tiny_tokenizer()).save_pretrained(tmp_path)
    after = Pair.from_pretrained(tmp_path).image_processor
    assert type(after) is LinmapImageProcessor
    assert torch.equal(pixels(after, photo), pixels(before, photo))


def test_the_processor_of_transformers_itself_is_stored_as_it_is(photo: Image.Image, hf_dir: Any):
    encoder = load_encoder(f"hf:{hf_dir('beit')}")
    own = AutoImageProcessor.from_pretrained(hf_dir("beit"))
    again = image_processor_for(ImageEncoderConfig.from_dict(encoder.config.to_dict()))
    assert type(again) is type(own)
    assert torch.equal(pixels(again, photo), pixels(own, photo))
    assert describe(again) == describe(own)


def test_unknown_interpolation_is_an_error():
    with pytest.raises(EncoderError, match=r"interpolation 'box' is not supported; known: bicubic, bilinear, lanczos"):
        processor(interpolation="box")


def test_a_configuration_without_preprocessing_says_so():
    with pytest.raises(EncoderError, match=r"says nothing about preprocessing\. Make it with load_encoder"):
        image_processor_for(ImageEncoderConfig())


def test_only_image_processors_are_built_from_a_configuration():
    config = ImageEncoderConfig(preprocessing={"image_processor_type": "GPT2Model"})
    with pytest.raises(EncoderError, match=r"image processor 'GPT2Model', which transformers .* does not have"):
        image_processor_for(config)
