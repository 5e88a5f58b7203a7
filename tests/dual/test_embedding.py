"""Photos and texts in bulk are embedded as one by one, in their order, and what is bad costs only itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from linmap.data.images import UnreadableImages
from linmap.dual.embedding import embed_photos, embed_texts, photo_features, text_features
from linmap.errors import CaptionDataError


def test_bulk_equals_one_by_one_in_the_given_order(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    several = [*texts, texts[0], "a much longer text about a dog that runs"]
    with torch.no_grad():
        rows = [model.get_text_features(**processor(text=text, return_tensors="pt"))[0] for text in several]
        images = [model.get_image_features(**processor(images=one, return_tensors="pt"))[0] for one in pictures]
    torch.testing.assert_close(
        embed_texts(model, processor, several, batch_size=2), torch.stack(rows), atol=1e-5, rtol=0
    )
    found = embed_photos(model, processor, pictures, batch_size=3)
    torch.testing.assert_close(found.features, torch.stack(images), atol=1e-5, rtol=0)
    assert found.rows == [0, 1, 2, 3]


def test_features_before_the_head_lead_to_the_same_embeddings(tiny_dual: Any, pictures: Any, texts: Any) -> None:
    model, processor = tiny_dual()
    photos, words = photo_features(model, processor, pictures).features, text_features(model, processor, texts)
    assert (photos.shape, words.shape) == ((4, 64), (4, 16))
    with torch.no_grad():
        output = model(image_features=photos, text_features=words)
    torch.testing.assert_close(output.image_embeds, embed_photos(model, processor, pictures).features)
    torch.testing.assert_close(output.text_embeds, embed_texts(model, processor, texts))


def test_an_unreadable_photo_costs_only_its_own_row(tiny_dual: Any, pictures: Any) -> None:
    model, processor = tiny_dual()
    unreadable = UnreadableImages(limit=1)
    found = embed_photos(model, processor, [pictures[0], "nowhere.jpg", pictures[1]], unreadable=unreadable)
    assert (found.rows, len(found.features), len(unreadable.errors)) == ([0, 2], 2, 1)
    with pytest.raises(CaptionDataError, match="None of the 1 photos can be read"):
        embed_photos(model, processor, ["nowhere.jpg"], unreadable=UnreadableImages(limit=1))


def test_no_texts_are_no_rows(tiny_dual: Any) -> None:
    model, processor = tiny_dual()
    assert embed_texts(model, processor, []).shape == (0, 8)
