"""Photos and videos to captions: in order, each with its support, a bad one costing only its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from linmap import DeCapModel, SupportMemory
from linmap.decap.captioning import caption_photos, caption_videos
from linmap.errors import CaptioningError, ConfigurationError, UnreadableImageError


@pytest.fixture
def telling(tiny_decap: Any, pictures: Any) -> Any:
    """A model that writes another caption of each picture, strategy by strategy, and its processor."""
    model, processor = tiny_decap()
    latents = model.encode_images(processor(images=pictures, return_tensors="pt")["pixel_values"])
    with torch.no_grad():  # the latents of the pictures are nearly equal
        model.projector.bias.sub_(latents.mean(0) @ model.projector.weight.T * 100)
        model.projector.weight.mul_(100)
    model.memory = SupportMemory.from_latents(latents, ["first", "second", "third", "fourth"])
    model.config.tau = 1e-4
    return model, processor


def test_every_photo_is_answered_in_order(telling: Any, pictures: Any, tmp_path: Path) -> None:
    model, processor = telling
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    files = [tmp_path / "0.png", tmp_path / "bad.jpg", *(tmp_path / f"{number}.png" for number in (1, 2, 3))]
    answers = list(caption_photos(model, processor, files, batch_size=2, num_support=2))
    assert [answer.photo for answer in answers] == files
    assert isinstance(answers[1].error, UnreadableImageError)
    assert answers[1].caption is None
    whole = processor.caption(model.generate(**processor(images=pictures, return_tensors="pt")))
    assert [answer.caption for answer in answers if answer.error is None] == whole
    assert len(set(whole)) == 4
    assert all(len(answer.support) == 2 for answer in answers if answer.error is None)


def test_retrieval_gives_captions_as_they_stand(tiny_decap: Any, pictures: Any, captions: list[str]) -> None:
    model, processor = tiny_decap()
    answers = list(caption_photos(model, processor, pictures, strategy="retrieval", num_support=3))
    assert all(answer.caption in captions for answer in answers)
    assert all(answer.support[0].caption == answer.caption for answer in answers)


def test_several_captions_of_a_photo_are_refused_and_never_given_to_the_next(telling: Any, pictures: Any) -> None:
    model, processor = telling
    several = {"num_beams": 2, "num_return_sequences": 2}
    for num_support in (0, 1):
        answers = caption_photos(model, processor, pictures, num_support=num_support, **several)
        with pytest.raises(CaptioningError, match=r"8 captions were written for 4 photos.*num_return_sequences"):
            list(answers)


def test_a_video_of_one_repeated_frame_is_captioned_as_the_photo(telling: Any, pictures: Any) -> None:
    model, processor = telling
    photo = next(caption_photos(model, processor, pictures[:1]))
    video = next(caption_videos(model, processor, [pictures[:1] * 3], num_frames=3))
    assert video.caption == photo.caption


def test_videos_of_different_lengths_are_captioned_together(telling: Any, pictures: Any) -> None:
    model, processor = telling
    videos = [pictures[1:], pictures[:1], pictures[3:]]
    together = [answer.caption for answer in caption_videos(model, processor, videos, num_frames=4, batch_size=3)]
    alone = [next(caption_videos(model, processor, [video], num_frames=4)).caption for video in videos]
    assert together == alone
    assert len(set(together)) > 1


def test_what_is_missing_is_said_before_a_photo_is_read(tiny_decap: Any, tmp_path: Path) -> None:
    model, processor = tiny_decap()
    model.memory = None
    with pytest.raises(ConfigurationError, match="asks a support memory"):
        caption_photos(model, processor, ["nowhere.jpg"])
    model.save_pretrained(tmp_path)
    without = DeCapModel.from_pretrained(tmp_path, dual_encoder=False)
    with pytest.raises(CaptioningError, match="holds no dual encoder"):
        caption_photos(without, processor, ["nowhere.jpg"])
