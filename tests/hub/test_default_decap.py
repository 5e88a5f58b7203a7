"""The DeCap model that comes with linmap: small, loadable, and its captions follow the photo."""

from __future__ import annotations

from pathlib import Path

import pytest

import linmap.hub
from linmap import DeCapModel, DeCapProcessor, default_decap
from linmap.errors import WeightsUnavailableError
from linmap.evaluation.captioning import derangement
from linmap.evaluation.cider import cider_d

PHOTOS = Path(__file__).resolve().parents[2] / "examples" / "photos"


def test_decoder_and_memory_take_less_than_twelve_megabytes() -> None:
    folder = Path(default_decap())
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"model.safetensors", "config.json", "README.md", "memory.json"} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) < 12_000_000
    assert not [path for path in files if path.suffix in (".bin", ".pt", ".pth", ".pkl")]


def test_an_installation_without_the_bundled_decap_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linmap.hub, "FOLDER", tmp_path)
    with pytest.raises(WeightsUnavailableError, match="linmap train decap-flickr8k --output"):
        default_decap()


@pytest.mark.weights
def test_every_example_photo_gets_a_caption_and_the_sentences_behind_it() -> None:
    model = DeCapModel.from_pretrained(default_decap())
    processor = DeCapProcessor.from_pretrained(default_decap())
    photos = sorted(PHOTOS.glob("*.jpg"))
    output = model.generate(**processor(images=photos, return_tensors="pt"), return_support=True, num_support=3)
    captions = processor.caption(output.sequences)
    assert len(set(captions)) == len(photos)
    assert "ball" in captions[[photo.stem for photo in photos].index("tennis")]
    assert all(len(row) == 3 and row[0].weight >= row[1].weight > 0 for row in output.support)


@pytest.mark.weights
@pytest.mark.shared
def test_its_captions_fit_their_photos_and_not_others(shared: Path) -> None:
    from linmap.data import read_captions
    from linmap.decap.captioning import caption_photos

    captioned = read_captions(shared / "data/flickr8k/captions.json", shared / "data/flickr8k/images", "val")[:100]
    model = DeCapModel.from_pretrained(default_decap())
    processor = DeCapProcessor.from_pretrained(default_decap())
    captions = [answer.caption for answer in caption_photos(model, processor, [photo.image for photo in captioned])]
    references = [photo.captions for photo in captioned]
    score = cider_d(captions, references, "simple").value
    blind = cider_d([captions[other] for other in derangement(100)], references, "simple").value
    assert score > 4 * blind
