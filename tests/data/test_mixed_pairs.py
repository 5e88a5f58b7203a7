"""Batches of photos and pairs of texts: the rows the model expects, and who is whose negative."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from linmap import ClippoConfig, ClippoModel, ClippoProcessor
from linmap.data import MixedPairCollator
from linmap.data.images import EncodedPhoto
from linmap.errors import CaptionDataError, UnreadableImageError

CONFIG = ClippoConfig(
    image_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, projection_dim=8
)


@pytest.fixture(scope="module")
def model() -> ClippoModel:
    torch.manual_seed(0)
    return ClippoModel(CONFIG).eval()


@pytest.fixture(scope="module")
def collator(model: ClippoModel) -> MixedPairCollator:
    return MixedPairCollator(ClippoProcessor.for_model(model))


def picture(level: int) -> Image.Image:
    shades = [min(255, level + 8 * column) for _ in range(16) for column in range(16)]
    image = Image.new("L", (16, 16))
    image.putdata(shades)
    return image


def batch_of(*kinds: str) -> list[dict[str, Any]]:
    made = []
    for number, kind in enumerate(kinds):
        example: dict[str, Any] = {"caption": f"text {number}", "image_id": number}
        example |= {"image": picture(9 * number)} if kind == "photo" else {"first_caption": f"first {number}"}
        made.append(example)
    return made


def test_photos_come_first_and_text_i_belongs_to_row_i(model: ClippoModel, collator: MixedPairCollator) -> None:
    batch = collator(batch_of("texts", "photo", "texts", "photo"))
    assert batch["image_ids"].tolist() == [1, 3, 0, 2]
    output = model(**batch)
    texts = model.get_text_features([f"text {number}" for number in (1, 3, 0, 2)])
    firsts = model.get_text_features(["first 0", "first 2"])
    torch.testing.assert_close(output.text_embeds, texts)
    torch.testing.assert_close(output.image_embeds[2:], firsts)
    assert output.loss is not None


@pytest.mark.parametrize("kind", ["photo", "texts"])
def test_a_batch_may_hold_one_kind_alone(model: ClippoModel, collator: MixedPairCollator, kind: str) -> None:
    batch = collator(batch_of(kind, kind))
    assert ("pixel_values" in batch, "first_text_pixel_values" in batch) == (kind == "photo", kind == "texts")
    assert torch.isfinite(model(**batch).loss)


def test_captions_of_a_photo_are_no_negatives_of_the_photo(model: ClippoModel, collator: MixedPairCollator) -> None:
    same = batch_of("photo", "texts", "photo")
    same[1]["image_id"] = same[0]["image_id"]
    apart = batch_of("photo", "texts", "photo")
    assert model(**collator(same)).loss < model(**collator(apart)).loss  # fewer are in the denominator


def test_without_numbers_pairs_are_told_apart_by_what_they_say(collator: MixedPairCollator) -> None:
    examples = [
        {"first_caption": "a", "caption": "b"},
        {"first_caption": "a", "caption": "b"},
        {"first_caption": "c", "caption": "d"},
    ]
    examples += [{"image": picture(1), "caption": "x"}, {"image": picture(1), "caption": "y"}]
    ids = collator(examples)["image_ids"].tolist()
    assert ids[0] == ids[1] >= 0  # the photos
    assert ids[2] == ids[3] < 0
    assert ids[4] < 0
    assert ids[4] != ids[2]


def test_a_mirrored_photo_is_the_photo_turned_round(collator: MixedPairCollator) -> None:
    plain, turned = (collator([{"image": picture(3), "caption": "a", "mirrored": turn}]) for turn in (False, True))
    assert torch.equal(turned["pixel_values"], plain["pixel_values"].flip(-1))


def test_a_cropped_photo_is_seen_as_that_part_of_it_would_be(collator: MixedPairCollator) -> None:
    photo = picture(3)
    part = photo.crop((0, 0, photo.width // 2, photo.height))
    seen, expected = (
        collator([{"image": image, "caption": "a", "crop": crop}])["pixel_values"]
        for image, crop in ((photo, (0.0, 0.0, 0.5, 1.0)), (part, None))
    )
    assert torch.equal(seen, expected)


@pytest.mark.parametrize(
    ("example", "error", "words"),
    [
        ({"caption": "a"}, CaptionDataError, r'neither "image" nor "first_caption"; found the keys caption. If it was'),
        ({"first_caption": "a", "caption": " "}, CaptionDataError, r"Example 0 of the batch has the caption ' '"),
        ({"first_caption": None, "caption": "a"}, CaptionDataError, r"has the first caption None; give it a text"),
        ({"image": EncodedPhoto("x", b"no"), "caption": "a"}, UnreadableImageError, r"x"),
    ],
)
def test_an_example_that_lacks_something_is_named(
    collator: MixedPairCollator, example: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        collator([example])
    with pytest.raises(CaptionDataError, match="An empty batch"):
        collator([])
