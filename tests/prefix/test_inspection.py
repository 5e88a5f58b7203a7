from __future__ import annotations

import pytest
import torch
from PIL import Image

from linmap.errors import ConfigurationError, UnreadableImageError
from linmap.prefix.inspection import inspect_photo, nearest_words

FAMILIES = ("gpt2", "gptj", "opt", "llama")


def _says(model, ids: list[int]) -> None:
    """Makes every cell of every photo the mean of the embeddings of `ids`."""
    with torch.no_grad():
        model.projector.weight.zero_()
        model.projector.bias.copy_(model.get_input_embeddings()(torch.tensor(ids)).mean(dim=0))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_that_is_a_words_embedding_is_nearest_to_that_word(photo_model, pictures, family):
    model, processor = photo_model(family)
    token = processor.tokenizer.convert_tokens_to_ids("Ġdog") or 40
    _says(model, [token])
    found = inspect_photo(model, processor, pictures[0], top=3)
    assert [words[0].id for words in found.words] == [token] * 4
    assert all(words[0].cosine == pytest.approx(1, abs=1e-5) for words in found.words)
    assert all(len({word.text.casefold() for word in words}) == 3 for words in found.words)
    assert found.grid == (2, 2)


def test_the_length_of_a_vector_changes_nothing_but_the_length_told(photo_model, pictures):
    model, processor = photo_model("llama")
    one = inspect_photo(model, processor, pictures[0])
    with torch.no_grad():
        for parameter in model.projector.parameters():
            parameter.mul_(3)
    three = inspect_photo(model, processor, pictures[0])
    assert [[word.id for word in words] for words in one.words] == [
        [word.id for word in words] for words in three.words
    ]
    assert three.lengths == pytest.approx([3 * length for length in one.lengths], rel=1e-5)
    assert (one.word_length, one.chance) == (three.word_length, three.chance)


def test_the_head_of_an_untied_language_model_is_not_asked(photo_model, pictures):
    model, processor = photo_model("gptj")
    before = inspect_photo(model, processor, pictures[0])
    with torch.no_grad():
        model.get_output_embeddings().weight.normal_()
    assert inspect_photo(model, processor, pictures[0]).words == before.words


def test_what_all_embeddings_have_in_common_counts_for_nothing_when_centred(photo_model, pictures):
    model, processor = photo_model("gpt2")
    before = inspect_photo(model, processor, pictures[0], centred=True)
    plain = inspect_photo(model, processor, pictures[0])
    common = torch.linspace(-3, 3, 16)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(common)
        model.projector.bias.add_(common)
    after = inspect_photo(model, processor, pictures[0], centred=True)
    assert [[word.id for word in words] for words in after.words] == [[w.id for w in words] for words in before.words]
    assert after.chance == pytest.approx(before.chance, abs=1e-4)
    moved = inspect_photo(model, processor, pictures[0])
    assert moved.words[0][0].cosine > plain.words[0][0].cosine + 0.01  # uncentred, everything is near everything


def test_cells_come_row_by_row(photo_model):
    model, processor = photo_model("llama")
    picture = Image.new("RGB", (64, 64), "black")
    corner = picture.copy()
    corner.paste(Image.new("RGB", (32, 32), "white"), (32, 0))  # above right: row 0, column 1
    with torch.no_grad():
        model.projector.bias.zero_()
    pixels = processor.image_processor(images=[picture, corner], return_tensors="pt")["pixel_values"]
    prefix = model.get_image_features(pixel_values=pixels).pooler_output
    found = inspect_photo(model, processor, corner)
    assert found.lengths == pytest.approx(prefix[1].norm(dim=1).tolist(), rel=1e-4)
    view = found.view.convert("L")
    assert view.size == (model.config.vision_config.image_size,) * 2
    assert view.getpixel((view.width - 2, 1)) > 250
    assert view.getpixel((1, view.height - 2)) < 5


def test_a_pooled_prefix_has_vectors_and_no_grid(photo_model, pictures):
    model, processor = photo_model("opt", features="pooled", grid_size=None, prefix_length=3)
    found = inspect_photo(model, processor, pictures[0], top=2)
    assert found.grid is None
    assert [len(words) for words in found.words] == [2, 2, 2]


def test_the_placeholder_and_rows_without_a_word_are_never_named(photo_model, pictures):
    model, processor = photo_model("llama")
    rows = model.get_input_embeddings().weight.shape[0]
    assert rows > len(processor.tokenizer) - 1
    _says(model, [rows - 1])  # an unused row
    found = inspect_photo(model, processor, pictures[0], top=400)
    named = {word.id for words in found.words for word in words}
    assert model.config.image_token_id not in named
    assert max(named) < len(processor.tokenizer)


def test_words_that_are_spelt_alike_are_named_once_by_the_nearest():
    table = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.3]])
    words = nearest_words(
        torch.tensor([[2.0, 0.2]]), table.__getitem__, torch.arange(4), ["Dog", " dog", "cat", "d og"]
    )
    assert [(word.text, word.id) for word in words[0]] == [("dog", 1), ("d og", 3), ("cat", 2)]
    (only,) = nearest_words(torch.tensor([[2.0, 0.0]]), table.__getitem__, torch.arange(4), [" ", "\n", "", "a"], top=2)
    assert [word.text for word in only] == [" ", "\n"]


def test_more_words_than_are_sorted_at_first_come_in_order():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(3000, 5, generator=generator)
    texts = [str(number % 2000) for number in range(3000)]
    (words,) = nearest_words(table[7:8], table.__getitem__, torch.arange(3000), texts, top=2500)
    assert len(words) == 2000
    assert words[0].text == "7"
    cosines = [word.cosine for word in words]
    assert cosines == sorted(cosines, reverse=True)


def test_chance_is_what_a_random_direction_reaches(photo_model, pictures):
    model, processor = photo_model("llama")
    with torch.no_grad():
        model.projector.weight.zero_()
        model.projector.bias.normal_(generator=torch.Generator().manual_seed(5))
    found = inspect_photo(model, processor, pictures[0])
    assert found.words[0][0].cosine == pytest.approx(found.chance, abs=0.15)
    assert 0 < found.chance < 1


def test_a_photo_that_cannot_be_read_is_named(photo_model, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(UnreadableImageError, match="it holds text"):
        inspect_photo(*photo_model("llama"), tmp_path / "text.jpg")


def test_a_model_without_an_encoder_and_no_words_are_errors(feature_model, photo_model, pictures):
    with pytest.raises(ConfigurationError, match="This model holds no image encoder"):
        inspect_photo(*feature_model("gpt2"), pictures[0])
    with pytest.raises(ConfigurationError, match="top=0; give at least one word a vector"):
        inspect_photo(*photo_model("llama"), pictures[0], top=0)
