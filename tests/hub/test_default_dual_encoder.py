"""The dual encoder that comes with linmap: small, loadable, and better than chance by far on real photos."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import linmap.hub
from linmap import DualEncoderModel, DualEncoderProcessor, default_dual_encoder
from linmap.errors import WeightsUnavailableError

PHOTOS = Path(__file__).resolve().parents[2] / "examples" / "photos"


def test_the_bundled_dual_encoder_is_a_folder_under_five_megabytes() -> None:
    folder = Path(default_dual_encoder())
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"model.safetensors", "config.json", "processor_config.json", "README.md"} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) < 5_000_000
    assert not [path for path in files if path.suffix in (".bin", ".pt", ".pth", ".pkl")]


def test_an_installation_without_the_bundled_dual_encoder_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linmap.hub, "FOLDER", tmp_path)
    with pytest.raises(
        WeightsUnavailableError, match=r"bundled model is not in this .*linmap train linear-dual --output"
    ):
        default_dual_encoder()


@pytest.mark.weights
def test_texts_find_their_photos_and_photos_their_texts() -> None:
    model = DualEncoderModel.from_pretrained(default_dual_encoder())
    processor = DualEncoderProcessor.from_pretrained(default_dual_encoder())
    texts = {
        "birthday": "a family sits around a table with food",
        "cat": "a white animal",
        "street": "a man stands next to a car on a street",
        "tennis": "a tennis player hits the ball on the court",
    }
    photos = [PHOTOS / f"{name}.jpg" for name in texts]
    with torch.no_grad():
        output = model(**processor(images=photos, text=list(texts.values()), return_tensors="pt"))
    assert output.logits_per_text.argmax(-1).tolist() == [0, 1, 2, 3]
    assert output.logits_per_image.argmax(-1).tolist() == [0, 1, 2, 3]


@pytest.mark.weights
@pytest.mark.shared
def test_on_photos_it_never_saw_it_finds_far_more_than_chance(shared: Path) -> None:
    from linmap.data import read_captions
    from linmap.dual.embedding import embed_photos, embed_texts
    from linmap.evaluation import retrieval_recall

    captioned = read_captions(shared / "data/flickr8k/captions.json", shared / "data/flickr8k/images", "val")[:100]
    model = DualEncoderModel.from_pretrained(default_dual_encoder())
    processor = DualEncoderProcessor.from_pretrained(default_dual_encoder())
    images = embed_photos(model, processor, [photo.image for photo in captioned]).features
    texts = embed_texts(model, processor, [text for photo in captioned for text in photo.captions])
    scores = retrieval_recall(images, texts, [row for row, photo in enumerate(captioned) for _ in photo.captions])
    assert scores.text_to_image["R@1"] > 40 * scores.chance_text_to_image["R@1"]
    assert scores.image_to_text["R@1"] > 40 * scores.chance_image_to_text["R@1"]
