"""The original code's numbers (jmerullo/limber, MIT), on small weights: see ../shared/reference/limber/README.md.

The original resizes the vocabulary to the tokenizer's length (400 -> 342 here), a bug linmap does not repeat: its
logits are compared on the ids that both have, and losses with the rest of the vocabulary taken out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linmap import LinearVisionPrefixModel

pytestmark = pytest.mark.shared
EOS = 340
KNOWN_IDS = 342


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "reference" / "limber"


def load(reference: Path, case: str, **settings: Any) -> tuple[LinearVisionPrefixModel, dict[str, torch.Tensor]]:
    model = LinearVisionPrefixModel.from_backbones(None, str(reference / "gptj_tiny"), **settings)
    state = torch.load(reference / f"{case}_proj.ckpt", weights_only=True)
    model.projector.load_state_dict(state)
    arrays = np.load(reference / f"{case}.npz")
    return model, {name: torch.from_numpy(arrays[name]) for name in arrays.files}


CASES = {
    "clr_identity": {"feature_dim": 3072, "features": "grid", "num_image_tokens": 144},
    "nfrn50_seq1": {"feature_dim": 2048, "features": "pooled", "prefix_length": 1},
}


def inputs_of(model: LinearVisionPrefixModel, arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    places = torch.full((len(arrays["captions"]), model.config.num_image_tokens), model.config.image_token_id)
    images = arrays["images"]
    return {
        "input_ids": torch.cat([places, arrays["captions"]], dim=1),
        "image_features": images if images.ndim == 3 else images.unsqueeze(1),
    }


@pytest.mark.parametrize("case", CASES)
def test_prefix_vectors_equal_the_original(case: str, reference: Path) -> None:
    model, arrays = load(reference, case, **CASES[case])
    features = inputs_of(model, arrays)["image_features"]
    prefix = model.get_image_features(image_features=features).pooler_output
    torch.testing.assert_close(prefix, arrays["prefix"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_loss_equal_the_original(case: str, reference: Path) -> None:
    model, arrays = load(reference, case, **CASES[case])
    inputs = inputs_of(model, arrays)
    mask = arrays["attention_mask"].long()
    with torch.inference_mode():
        logits = model(**inputs, attention_mask=mask).logits[..., :KNOWN_IDS]
    seen = mask.bool()
    torch.testing.assert_close(logits[seen], arrays["logits_mask"][seen], rtol=1e-4, atol=1e-4)
    loss = model.loss_function(logits, arrays["labels"], vocab_size=KNOWN_IDS)
    torch.testing.assert_close(loss, arrays["loss_mask"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_greedy_ids_equal_the_original(case: str, reference: Path) -> None:
    model, arrays = load(reference, case, **CASES[case])
    inputs = inputs_of(model, arrays)
    k = model.config.num_image_tokens
    for row in range(len(inputs["image_features"])):
        ids = inputs["input_ids"][row : row + 1, :k]
        original = arrays[f"greedy_single_{row}"][:, k:]
        ours = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            image_features=inputs["image_features"][row : row + 1],
            max_new_tokens=original.shape[1],
            do_sample=False,
            eos_token_id=EOS,
            pad_token_id=EOS,
            suppress_tokens=list(range(KNOWN_IDS, 400)),
        )[:, k:]
        assert ours.tolist() == original.tolist()


def test_interleaved_images_and_text_embed_as_in_the_original(reference: Path) -> None:
    """The prompt is text without any separator after an image."""
    model, arrays = load(reference, "interleaved", feature_dim=256, features="grid", num_image_tokens=9)
    words = model.get_input_embeddings()
    image0, image2 = arrays["embeddings"][:, :9], arrays["embeddings"][:, 16:25]
    place = torch.full((1, 9), model.config.image_token_id)
    ids = torch.cat([place, arrays["ids1"], place, arrays["ids3"]], dim=1)
    text = torch.cat([image0, words(arrays["ids1"]), image2, words(arrays["ids3"])], dim=1)
    torch.testing.assert_close(text, arrays["embeddings"], rtol=1e-5, atol=1e-5)
    assert ids.shape[1] == arrays["embeddings"].shape[1]
