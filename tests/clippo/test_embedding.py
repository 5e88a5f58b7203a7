"""Texts in bulk behind a CLIPPO tower are embedded as one by one, and what a picture has no room for is counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from linmap import ClippoConfig, ClippoModel, ClippoProcessor
from linmap.clippo.embedding import LostText, embed_photos, embed_texts, lost_text, photo_features, text_features

TEXTS = ["a dog runs", "ein Hund läuft", "สุนัขวิ่ง", "two children play with a red ball", "a dog runs", ""]
SIZES = {"image_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="module")
def tiny(tiny_tokenizer: Any) -> Any:
    """`tiny("pixels")` or `tiny("tokens")`: a tiny model in eval mode, and its processor."""

    def make(text_input: str) -> tuple[ClippoModel, ClippoProcessor]:
        tokens = {"vocab_size": 320, "pad_token_id": 2, "max_text_tokens": 8} if text_input == "tokens" else {}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = ClippoConfig(**SIZES, projection_dim=16, text_input=text_input, **tokens)
            model = ClippoModel(config).eval()
        return model, ClippoProcessor.for_model(model, tiny_tokenizer() if tokens else None)

    return make


@pytest.mark.parametrize("text_input", ["pixels", "tokens"])
def test_bulk_equals_one_by_one_in_the_given_order(tiny: Any, text_input: str) -> None:
    model, processor = tiny(text_input)
    texts = [text for text in TEXTS if text or text_input == "pixels"]
    name = {"text_pixel_values": "pixel_values"}
    rows = []
    with torch.no_grad():
        for text in texts:
            inputs = processor(text=text, return_tensors="pt")
            rows.append(model.get_text_features(**{name.get(key, key): value for key, value in inputs.items()})[0])
    found = embed_texts(model, processor, texts, batch_size=2)
    torch.testing.assert_close(found, torch.stack(rows), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(texts)))


def test_features_in_front_of_the_head_lead_to_the_same_embeddings(tiny: Any, pictures: Any) -> None:
    model, processor = tiny("pixels")
    photos, texts = photo_features(model, processor, pictures).features, text_features(model, processor, TEXTS)
    assert (photos.shape, texts.shape) == ((4, 32), (6, 32))
    with torch.no_grad():
        seen, read = model.get_image_features(image_features=photos), model.get_text_features(text_features=texts)
    torch.testing.assert_close(seen, embed_photos(model, processor, pictures).features)
    torch.testing.assert_close(read, embed_texts(model, processor, TEXTS))


def test_no_texts_are_no_rows(tiny: Any) -> None:
    for text_input in ("pixels", "tokens"):
        model, processor = tiny(text_input)
        assert embed_texts(model, processor, []).shape == (0, 16)
        assert lost_text(processor, [])[:3] == (0, 0, 0)


def test_a_model_in_training_is_put_into_eval_mode(tiny: Any) -> None:
    model, processor = tiny("pixels")
    embed_texts(model.train(), processor, TEXTS[:1])
    assert not model.training


def test_what_does_not_fit_is_one_warning_for_all_texts(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    model, processor = tiny("pixels")
    embed_texts(model, processor, [*TEXTS, "a dog and " * 20, "a cat and " * 20, "a cat and " * 20], batch_size=2)
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 7 texts do not fit into 64 x 64 pixels: the model does not see their end."
    ]


def test_lost_text_counts_every_text_and_what_is_below_its_picture(tiny: Any) -> None:
    from linmap import render_text

    _, processor = tiny("pixels")
    long = "a dog and " * 20
    found = lost_text(processor, [*TEXTS, long, long])
    _, overflow = render_text([long], 64, return_overflow=True)
    lost = int(overflow.cut[0] + overflow.hidden[0])
    assert 0 < lost < len(long)
    assert found == LostText(2, 2 * lost, sum(map(len, TEXTS)) + 2 * len(long), "characters")


def test_lost_text_counts_the_tokens_behind_the_longest_row(tiny: Any) -> None:
    _, processor = tiny("tokens")
    texts = ["a", "two children play with a red ball on the beach and a dog"]
    lengths = [len(ids) for ids in processor.tokenizer(texts)["input_ids"]]
    assert lengths[0] < 8 < lengths[1]
    assert lost_text(processor, texts) == LostText(1, lengths[1] - 8, sum(lengths), "tokens")
