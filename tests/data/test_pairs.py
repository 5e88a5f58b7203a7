"""Pairs for contrastive learning: batches, whose photo is whose, and a plain Trainer that learns from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers import Trainer, TrainingArguments

from linmap import DualEncoderModel, DualEncoderProcessor
from linmap.data import Captioned, DualPairCollator, EncodedPhoto, pair_examples, photo_ids
from linmap.errors import CaptionDataError, UnreadableImageError


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three files of noise, and a copy of the first."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    paths = [folder / f"{name}.png" for name in "abc"]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    copy = folder / "copy of a.png"
    copy.write_bytes(paths[0].read_bytes())
    return [*paths, copy]


@pytest.fixture
def model(text_encoder_dir: Callable[[str], Path]) -> DualEncoderModel:
    torch.manual_seed(0)
    return DualEncoderModel.from_backbones(
        "timm:test_vit",
        f"hf:{text_encoder_dir('bert')}",
        text_pooling="mean",
        projection_dim=8,
        trained_towers=["text"],
        image_encoder_kwargs={"pretrained": False, "seed": 0},
    )


@pytest.fixture
def collator(model: DualEncoderModel) -> DualPairCollator:
    return DualPairCollator(DualEncoderProcessor.for_model(model))


def test_a_batch_holds_what_the_model_takes(
    collator: DualPairCollator, model: DualEncoderModel, pictures: list[Path]
) -> None:
    batch = collator(
        [
            {"image": pictures[0], "caption": "a dog", "image_id": 7},
            {"image": str(pictures[1]), "caption": "two dogs run", "image_id": 9},
        ]
    )
    assert set(batch) == {"pixel_values", "input_ids", "attention_mask", "image_ids", "return_loss"}
    assert batch["pixel_values"].shape == (2, 3, 160, 160)
    assert batch["image_ids"].tolist() == [7, 9]
    assert batch["return_loss"] is True
    assert model(**batch).loss.isfinite()


def test_a_mirrored_photo_is_seen_mirrored(collator: DualPairCollator, pictures: list[Path]) -> None:
    picture = Image.open(pictures[0])
    mirrored = collator([{"image": picture, "caption": "a", "mirrored": True}])["pixel_values"]
    expected = collator([{"image": ImageOps.mirror(picture), "caption": "a"}])["pixel_values"]
    torch.testing.assert_close(mirrored, expected, atol=2 / 127, rtol=0)  # resizing rounds to 8 bits


def test_features_stand_for_photos_and_captions(collator: DualPairCollator, model: DualEncoderModel) -> None:
    examples = [
        {"image_features": torch.full((64,), float(i)).half(), "text_features": np.full(16, i), "image_id": i}
        for i in range(3)
    ]
    batch = collator(examples)
    assert batch["image_features"].dtype == batch["text_features"].dtype == torch.float32
    assert (batch["image_features"].shape, batch["text_features"].shape) == ((3, 64), (3, 16))
    assert batch["image_features"][:, 0].tolist() == [0, 1, 2]


def test_photos_without_a_number_are_told_apart_by_their_names(
    collator: DualPairCollator, pictures: list[Path]
) -> None:
    photos = [pictures[0], pictures[1], str(pictures[0]), Image.open(pictures[0])]
    batch = collator([{"image": photo, "caption": "a"} for photo in photos])
    first, second, again, picture = batch["image_ids"].tolist()
    assert first == again
    assert len({first, second, picture}) == 3


def test_numbers_by_name_are_the_same_in_every_batch_and_process(
    collator: DualPairCollator, pictures: list[Path]
) -> None:
    def numbers(*photos: Path) -> list[int]:
        return collator([{"image": photo, "caption": "a"} for photo in photos])["image_ids"].tolist()

    assert numbers(pictures[0], pictures[1]) == numbers(pictures[1], pictures[0])[::-1]
    assert numbers(pictures[0]) != numbers(pictures[1])


def test_captions_of_one_photo_and_of_its_copies_are_never_each_other_s_negatives(
    collator: DualPairCollator, model: DualEncoderModel, pictures: list[Path]
) -> None:
    records = [Captioned(pictures[0], ("a dog", "a brown dog")), Captioned(pictures[3], ("it runs",))]
    examples = pair_examples(records)
    assert [example["image_id"] for example in examples] == [0, 0, 0]
    assert model(**collator(examples)).loss == 0.0
    examples += pair_examples([Captioned(pictures[1], ("a cat",))])
    examples[-1]["image_id"] = 3
    assert model(**collator(examples)).loss > 0.0


def test_photos_are_the_same_by_their_bytes_and_not_by_their_size(pictures: list[Path]) -> None:
    picture = Image.open(pictures[0])
    held = [EncodedPhoto("held", pictures[1].read_bytes()), EncodedPhoto("held again", pictures[1].read_bytes())]
    assert photo_ids(pictures) == [0, 1, 2, 0]
    assert photo_ids([picture, picture.copy(), ImageOps.mirror(picture)]) == [0, 0, 2]
    assert photo_ids(held) == [0, 0]
    assert photo_ids(["nowhere.png", "elsewhere.png", "nowhere.png"]) == [0, 1, 0]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], r"An empty batch"),
        (
            [{"image": "a.jpg"}],
            r'needs "caption", or every one "text_features"; example 0 has the keys image\..*remove_',
        ),
        ([{"caption": "a"}], r'needs "image", or every one "image_features"; example 0 has the keys caption'),
        (
            [{"image_features": torch.ones(3), "caption": "a"}],
            r'whose photo they are of: give each example its "image_id"',
        ),
        (
            [
                {"image_features": torch.ones(3), "caption": "a", "image_id": 0},
                {"image_features": torch.ones(3), "caption": "a"},
            ],
            r'Example 1 of the batch has no "image_id", and others have',
        ),
        (
            [{"image_features": torch.ones(n), "caption": "a", "image_id": n} for n in (3, 4)],
            r"Example 1 of the batch has image_features of shape \(4,\), the first one \(3,\)",
        ),
        (
            [{"image_features": torch.ones(3), "caption": " ", "image_id": 0}],
            r"Example 0 of the batch has the caption ' '",
        ),
    ],
)
def test_an_example_that_lacks_something_is_named(
    collator: DualPairCollator, examples: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(CaptionDataError, match=message):
        collator(examples)


def test_an_unreadable_photo_is_named(collator: DualPairCollator) -> None:
    with pytest.raises(UnreadableImageError, match=r"nowhere\.jpg: there is no such file"):
        collator([{"image": "nowhere.jpg", "caption": "a"}])


def test_a_plain_trainer_learns_from_pairs_and_its_checkpoint_loads(
    collator: DualPairCollator, model: DualEncoderModel, pictures: list[Path], tmp_path: Path
) -> None:
    captions = (("a dog runs", "a dog"), ("two children play",), ("a man in a blue shirt", "a man"))
    examples = pair_examples(Captioned(path, texts) for path, texts in zip(pictures, captions, strict=False))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path / "run"),
            max_steps=12,
            per_device_train_batch_size=5,
            learning_rate=1e-2,
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=12,
            remove_unused_columns=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        data_collator=collator,
        train_dataset=examples,
        eval_dataset=examples,
    )
    frozen = {name: weight.clone() for name, weight in model.image_encoder.state_dict().items()}
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    assert any("eval_loss" in entry for entry in trainer.state.log_history)
    assert all(torch.equal(weight, frozen[name]) for name, weight in model.image_encoder.state_dict().items())
    trainer.save_model(str(tmp_path / "saved"))
    again = DualEncoderModel.from_pretrained(tmp_path / "saved")
    batch = collator(examples)
    with torch.no_grad():
        torch.testing.assert_close(again(**batch).loss, model.eval()(**batch).loss)
