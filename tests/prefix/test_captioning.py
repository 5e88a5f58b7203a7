from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.data.images import EncodedPhoto
from linmap.errors import CaptioningError, UnreadableImageError
from linmap.prefix.captioning import PhotoCaption, caption_photos


def noise(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    # Few large fields: photos that differ on the coarse grid the tiny encoder sees.
    fields = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(fields).resize((width, height), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def captioner(tiny_lm_dir) -> tuple[LinearVisionPrefixModel, LinearVisionPrefixProcessor]:
    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit",
        str(tiny_lm_dir("llama")),
        grid_size=2,
        encoder_kwargs={"pretrained": False, "seed": 0},
    )
    torch.nn.init.normal_(model.projector.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    return model, LinearVisionPrefixProcessor.for_model(model)


@pytest.fixture(scope="module")
def alone(captioner) -> list[str]:
    """Captions of `noise(0)` to `noise(6)`, each made by the model's own `generate`, one at a time."""
    model, processor = captioner
    captions = []
    for seed in range(7):
        inputs = processor(images=[noise(seed)], return_tensors="pt")
        generated = model.generate(**inputs, max_new_tokens=8)
        captions += processor.caption(generated[:, inputs["input_ids"].shape[1] :])
    assert len(set(captions)) > 1, "captions that are all alike prove nothing"
    return captions


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 16])
def test_batches_caption_as_one_photo_at_a_time_does(captioner, alone, batch_size):
    photos = [noise(seed) for seed in range(7)]
    answers = list(caption_photos(*captioner, photos, batch_size=batch_size, max_new_tokens=8))
    assert [answer.caption for answer in answers] == alone
    assert [answer.photo for answer in answers] == photos


@pytest.mark.parametrize("bad", [[], [0], [6], [0, 1, 2], [2, 3], [1, 3, 5], list(range(7))])
def test_answers_come_in_input_order_whichever_photos_are_bad(captioner, alone, tmp_path, bad):
    photos = [tmp_path / f"{seed}.png" for seed in range(7)]
    for seed, file in enumerate(photos):
        if seed in bad:
            file.write_text("no photo")
        else:
            noise(seed).save(file)
    answers = list(caption_photos(*captioner, photos, batch_size=2, max_new_tokens=8))
    assert [answer.photo for answer in answers] == photos
    assert [answer.caption for answer in answers] == [None if n in bad else alone[n] for n in range(7)]
    assert [n for n, answer in enumerate(answers) if isinstance(answer.error, UnreadableImageError)] == bad


def test_no_photos_give_no_answers(captioner):
    assert list(caption_photos(*captioner, [])) == []


def test_paths_bytes_and_pictures_are_all_photos(captioner, tmp_path):
    file = tmp_path / "photo.png"
    noise(3).save(file)
    kinds = [file, str(file), EncodedPhoto("photo", file.read_bytes()), noise(3)]
    assert len({answer.caption for answer in caption_photos(*captioner, kinds, max_new_tokens=8)}) == 1


def test_photos_are_read_ahead_but_not_all_at_once(captioner):
    asked = []

    def endless() -> Iterator[Image.Image]:
        while True:
            asked.append(len(asked))
            yield noise(len(asked) % 7)

    answers = caption_photos(*captioner, endless(), batch_size=2, max_new_tokens=1)
    for _ in range(4):
        next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert 4 < len(asked) <= 4 + 2 * 2 + 1


def test_leaving_early_ends_the_reading_threads(captioner):
    answers = caption_photos(*captioner, (noise(seed) for seed in range(50)), batch_size=1, max_new_tokens=1)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("linmap-photos")]


def test_the_prompt_is_what_the_caption_continues(captioner):
    model, processor = captioner
    (answer,) = caption_photos(model, processor, [noise(1)], prompt="two children play", max_new_tokens=8)
    inputs = processor(images=[noise(1)], text=["two children play"], return_tensors="pt")
    generated = model.generate(**inputs, max_new_tokens=8)
    assert (
        answer.caption
        == processor.tokenizer.decode(generated[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    )


def test_the_models_generation_config_holds_where_nothing_is_said(captioner):
    model, processor = captioner
    short = LinearVisionPrefixModel(model.config, model.encoder, model.language_model).eval()
    short.projector.load_state_dict(model.projector.state_dict())
    short.generation_config.max_new_tokens = 1
    (one,) = caption_photos(short, processor, [noise(1)])
    (asked,) = caption_photos(model, processor, [noise(1)], max_new_tokens=1)
    (default,) = caption_photos(model, processor, [noise(1)])
    assert one == PhotoCaption(one.photo, caption=asked.caption)
    assert len(default.caption or "") > len(one.caption or "")


def test_a_batch_size_below_one_is_refused(captioner):
    with pytest.raises(CaptioningError, match=r"The batch size is 0; it must be at least 1\."):
        caption_photos(*captioner, [], batch_size=0)


def test_a_model_without_an_encoder_is_refused(captioner, tiny_lm):
    model = LinearVisionPrefixModel.from_backbones(None, tiny_lm("gpt2"), feature_dim=6, num_image_tokens=4)
    with pytest.raises(CaptioningError, match=r"holds no image encoder: it reads features, not photos"):
        caption_photos(model, captioner[1], [Path("a.jpg")])
