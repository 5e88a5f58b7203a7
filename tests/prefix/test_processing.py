"""The processor: where placeholders go, what is counted, what comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from transformers import AutoProcessor

from linmap import CaptionCollator, LinearVisionPrefixProcessor
from linmap.errors import ConfigurationError, ImageCountError, UnreadableImageError


def test_an_image_without_text_gets_the_prompt_behind_it(photo_model: Any, photos: Any) -> None:
    _, processor = photo_model("gptj")
    inputs = processor(images=photos[0], return_tensors="pt")
    words = processor.tokenizer("A picture of")["input_ids"]
    assert inputs["input_ids"].tolist() == [[processor.image_token_id] * 4 + words]
    assert inputs["pixel_values"].shape[0] == 1


def test_an_image_may_be_given_by_its_path(photo_model: Any, photos: Any, tmp_path: Any) -> None:
    _, processor = photo_model()
    photos[0].save(tmp_path / "photo.png")
    for given in (str(tmp_path / "photo.png"), [str(tmp_path / "photo.png")]):
        inputs = processor(images=given, return_tensors="pt")
        assert torch.equal(inputs["pixel_values"], processor(images=photos[0], return_tensors="pt")["pixel_values"])


def test_a_photo_is_prepared_alike_by_path_by_picture_and_in_training(photo_model: Any, tmp_path: Any) -> None:
    _, processor = photo_model()
    colours = np.linspace(0, 255, 40 * 30 * 3).reshape(30, 40, 3).astype(np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(colours).save(tmp_path / "sideways.jpg", exif=exif)
    Image.fromarray(np.dstack([colours, colours[..., :1]]), "RGBA").save(tmp_path / "transparent.png")
    Image.fromarray(colours[..., 0].astype(np.uint16) * 257).save(tmp_path / "16bit.png")
    for file in ("sideways.jpg", "transparent.png", "16bit.png"):
        path = tmp_path / file
        trained = CaptionCollator(processor)([{"image": path, "caption": "a dog"}])["pixel_values"]
        for given in (path, str(path), Image.open(path), [[Image.open(path)]]):
            assert torch.equal(processor(images=given, return_tensors="pt")["pixel_values"], trained)
        assert trained.std() > 0.1


def test_an_array_of_pixels_is_an_image_or_a_batch_of_them(photo_model: Any) -> None:
    _, processor = photo_model()
    pixels = np.zeros((2, 30, 40, 3), dtype=np.uint8)
    for images, count in ((pixels, 2), (pixels[0], 1), (list(pixels), 2), (torch.from_numpy(pixels).movedim(3, 1), 2)):
        assert len(processor(images=images, return_tensors="pt")["pixel_values"]) == count


def test_a_photo_that_cannot_be_read_is_named(photo_model: Any, tmp_path: Any) -> None:
    _, processor = photo_model()
    with pytest.raises(UnreadableImageError, match=r"Cannot read nowhere\.jpg: there is no such file; check the path"):
        processor(images="nowhere.jpg")
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: it holds text"):
        processor(images=[tmp_path / "a.jpg"])


def test_text_without_a_mark_gets_its_image_in_front(feature_model: Any, features: Any) -> None:
    _, processor = feature_model()
    marked = processor(image_features=features(1), text=["<image>a dog"], return_tensors="pt")
    plain = processor(image_features=features(1), text="a dog", return_tensors="pt")
    assert torch.equal(marked["input_ids"], plain["input_ids"])


def test_begin_of_text_stays_in_front_of_the_image(feature_model: Any, features: Any) -> None:
    _, processor = feature_model("llama", bos=True)
    ids = processor(image_features=features(1), text=["a dog"], return_tensors="pt")["input_ids"][0]
    assert ids[:6].tolist() == [0, 300, 300, 300, 300, ids[5]]


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("bos", [True, False])
def test_begin_of_text_is_put_in_front_or_left_out_as_asked_and_stays_so_on_disk(
    feature_model: Any, features: Any, tiny_tokenizer: Any, tmp_path: Any, bos: bool, wanted: bool
) -> None:
    model, _ = feature_model("llama", bos=bos)
    tokenizer = tiny_tokenizer(bos=bos)
    processor = LinearVisionPrefixProcessor.for_model(model, tokenizer, add_bos_token=wanted)
    processor.save_pretrained(tmp_path)
    for each in (processor, LinearVisionPrefixProcessor.from_pretrained(tmp_path)):
        inputs = each(image_features=features(2), text=["<image> a dog", "see <image> here"], return_tensors="pt")
        starts = [
            row[mask == 1][0].item() for row, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ]
        assert [start == tokenizer.bos_token_id for start in starts] == [wanted, wanted]
    assert (tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id) == bos  # the caller's own is left alone


def test_a_tokenizer_without_begin_of_text_cannot_put_it_in_front(feature_model: Any, tiny_tokenizer: Any) -> None:
    model, _ = feature_model()
    tokenizer = tiny_tokenizer()
    tokenizer.bos_token = None
    with pytest.raises(ConfigurationError, match=r"the tokenizer has none\. Set tokenizer\.bos_token, or leave"):
        LinearVisionPrefixProcessor.for_model(model, tokenizer, add_bos_token=True)


def test_padding_is_on_the_left_and_masked(feature_model: Any, features: Any) -> None:
    _, processor = feature_model()
    inputs = processor(image_features=features(2), text=["a", "a dog runs across the grass"], return_tensors="pt")
    padded = inputs["attention_mask"][0] == 0
    assert padded[0]
    assert not padded[-1]
    assert (inputs["input_ids"][0][padded] == processor.tokenizer.pad_token_id).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["a", "b"], "1 images were given for 2 texts without <image>"),
        (["<image> <image>"], "have 2 <image>, but 1 images were given"),
    ],
)
def test_images_and_marks_must_match(text: list[str], message: str, feature_model: Any, features: Any) -> None:
    _, processor = feature_model()
    with pytest.raises(ImageCountError, match=message):
        processor(image_features=features(1), text=text)


def test_images_listed_for_each_text_stay_with_it(photo_model: Any, photos: Any) -> None:
    _, processor = photo_model()
    first, second, third = photos
    nested = processor(images=[[first], [], [second, third]], text=["a", "b", "<image> <image>"], return_tensors="pt")
    flat = processor(images=photos, text=["<image>a", "b", "<image> <image>"], return_tensors="pt")
    assert all(torch.equal(nested[name], flat[name]) for name in flat)


@pytest.mark.parametrize(
    ("given", "text", "message"),
    [
        ((1, 2), ["<image> <image>", "<image>"], "Text 0 has 2 <image>, but 1 images were given for it"),
        ((1, 2), ["a", "b"], "Text 1 has 0 <image>, but 2 images were given for it"),
        ((1, 0), ["a", "<image>"], "Text 1 has 1 <image>, but 0 images were given for it"),
        ((1, 1), ["a"], "2 lists of images were given for 1 texts"),
    ],
)
def test_images_listed_for_a_text_must_be_as_many_as_it_marks(
    photo_model: Any, photos: Any, given: tuple[int, ...], text: list[str], message: str
) -> None:
    _, processor = photo_model()
    with pytest.raises(ImageCountError, match=message):
        processor(images=[photos[:count] for count in given], text=text)


def test_features_may_be_a_tensor_an_array_or_a_list(feature_model: Any, features: Any) -> None:
    model, processor = feature_model()
    given = features(2)
    for each in (given, given.numpy(), list(given), list(given.numpy())):
        inputs = processor(image_features=each, return_tensors="pt")
        assert torch.equal(inputs["image_features"], given)
        assert model.generate(**inputs, max_new_tokens=2, do_sample=False).shape[0] == 2
    with pytest.raises(ConfigurationError, match=r"alike in shape, .*; found the shapes \[\(3, 6\), \(4, 6\)\]"):
        processor(image_features=[given[0], given[1][:3]])


def test_truncation_never_cuts_an_image_silently(
    photo_model: Any, feature_model: Any, features: Any, photos: Any
) -> None:
    (_, seeing), (_, reading) = photo_model(), feature_model()
    cut = {"text": ["a dog <image>"], "truncation": True, "max_length": 4}
    with pytest.raises(ValueError, match="Mismatch in `image` token count"):
        seeing(images=photos[:1], **cut)
    with pytest.raises(ValueError, match="Mismatch in `image` token count"):
        reading(image_features=features(1), **cut)


def test_no_images_are_as_none(photo_model: Any) -> None:
    _, processor = photo_model()
    assert "pixel_values" not in processor(images=[], text=["a dog"], return_tensors="pt")
    with pytest.raises(ConfigurationError, match="Give images, image_features or text"):
        processor(images=[])


def test_only_a_whole_prompt_is_taken_off_a_caption(feature_model: Any) -> None:
    _, processor = feature_model()
    ids = processor.tokenizer([" apple tree", "a tree", "Photo: a tree"])["input_ids"]
    assert processor.caption(ids, prompt="a") == ["apple tree", "tree", "Photo: a tree"]
    assert processor.caption(ids, prompt="Photo:") == ["apple tree", "a tree", "a tree"]


def test_no_input_and_double_input_are_errors(feature_model: Any, features: Any, photos: Any) -> None:
    _, processor = feature_model()
    with pytest.raises(ConfigurationError, match="Give images, image_features or text"):
        processor()
    with pytest.raises(ConfigurationError, match="either images or image_features"):
        processor(images=photos, image_features=features(1))


def test_a_processor_that_takes_features_only_refuses_images_also_after_a_trip_to_disk(
    feature_model: Any, features: Any, photos: Any, tmp_path: Any
) -> None:
    _, processor = feature_model()
    processor.save_pretrained(tmp_path)
    for again in (
        processor,
        LinearVisionPrefixProcessor.from_pretrained(tmp_path),
        AutoProcessor.from_pretrained(tmp_path),
    ):
        assert again(image_features=features(2), return_tensors="pt")["input_ids"].shape[0] == 2
        for images in (photos, "nowhere.jpg"):
            with pytest.raises(ConfigurationError, match="has no image processor: its model takes image_features only"):
                again(images=images)
        with pytest.raises(ConfigurationError, match="has no image processor"):
            again.image_processor(photos)


def test_processor_survives_the_disk(photo_model: Any, photos: Any, tmp_path: Any) -> None:
    """Trap T6: timm's image processor cannot live in a saved processor."""
    _, processor = photo_model()
    processor.prompt = "Here is"
    processor.save_pretrained(tmp_path)
    again = LinearVisionPrefixProcessor.from_pretrained(tmp_path)
    first, second = (each(images=photos, return_tensors="pt") for each in (processor, again))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert (again.prompt, again.num_image_tokens, again.image_token_id) == ("Here is", 4, processor.image_token_id)


def test_captions_come_back_without_placeholders_prompt_and_specials(feature_model: Any, features: Any) -> None:
    _, processor = feature_model()
    inputs = processor(image_features=features(1), return_tensors="pt")
    words = processor.tokenizer(" a dog runs")["input_ids"]
    ids = torch.cat([inputs["input_ids"], torch.tensor([[*words, 1, 2]])], dim=1)
    assert processor.caption(ids) == ["a dog runs"]
    assert processor.tokenizer.batch_decode(ids, skip_special_tokens=True) == ["A picture of a dog runs"]


def test_a_tokenizer_that_disagrees_with_the_model_is_an_error(tiny_lm: Any, tiny_tokenizer: Any) -> None:
    from linmap import LinearVisionPrefixModel

    model = LinearVisionPrefixModel.from_backbones(None, tiny_lm("gpt2"), feature_dim=6, num_image_tokens=1)
    with pytest.raises(ConfigurationError, match=r"id 300 in the tokenizer but 320 in the model.*image_token_id=300"):
        LinearVisionPrefixProcessor.for_model(model, tiny_tokenizer())


def test_a_chat_is_joined_in_reading_order(feature_model: Any) -> None:
    _, processor = feature_model()
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "A picture of"}]}]
    assert processor.apply_chat_template(chat) == "<image>A picture of"
