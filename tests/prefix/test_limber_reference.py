"""The original code's numbers (jmerullo/limber, MIT), on small weights: see tests/golden/limber/README.md.

The original shrinks the vocabulary to the tokenizer's length (400 -> 342 here), a bug linmap does not repeat: its
logits are compared on the ids that both have, and losses with the rest of the vocabulary taken out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TopPLogitsWarper

from linmap import LinearVisionPrefixModel
from linmap.data.collation import IGNORED_LABEL
from linmap.errors import BackboneError
from linmap.language import load_tokenizer

EOS = 340
KNOWN_IDS = 342
CASES = ("nfrn50", "grid")

Arrays = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def golden(repository: Path) -> Path:
    return repository / "tests" / "golden" / "limber"


@pytest.fixture(scope="module")
def arrays(golden: Path) -> Arrays:
    return load_file(golden / "cases.safetensors")


@pytest.fixture(scope="module")
def models(golden: Path, arrays: Arrays) -> dict[str, LinearVisionPrefixModel]:
    """The pooled case with its projection; the grid's takes the projected vectors themselves (the identity)."""
    language_model = str(golden / "gptj_tiny")
    pooled = LinearVisionPrefixModel.from_backbones(None, language_model, feature_dim=2048, features="pooled")
    pooled.projector.load_state_dict({name: arrays[f"nfrn50.{name}"] for name in ("weight", "bias")})
    grid = LinearVisionPrefixModel.from_backbones(None, language_model, feature_dim=64, num_image_tokens=144)
    grid.projector.load_state_dict({"weight": torch.eye(64), "bias": torch.zeros(64)})
    return {"nfrn50": pooled, "grid": grid}


def features_of(case: str, arrays: Arrays) -> torch.Tensor:
    return arrays["nfrn50.images"].unsqueeze(1) if case == "nfrn50" else arrays["grid.prefix"]


def behind_images(model: LinearVisionPrefixModel, ids: torch.Tensor) -> torch.Tensor:
    """The ids behind the placeholders of one image."""
    places = torch.full((len(ids), model.config.num_image_tokens), model.config.image_token_id)
    return torch.cat([places, ids], dim=1)


def known_logits(model: LinearVisionPrefixModel, case: str, arrays: Arrays) -> torch.Tensor:
    return model(
        input_ids=behind_images(model, arrays[f"{case}.captions"]),
        image_features=features_of(case, arrays),
        attention_mask=arrays[f"{case}.attention_mask"].long(),
    ).logits[..., :KNOWN_IDS]


def greedy(model: LinearVisionPrefixModel, ids: torch.Tensor, features: torch.Tensor, new: int) -> list[int]:
    generated = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        image_features=features,
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=EOS,
        pad_token_id=EOS,
        suppress_tokens=list(range(KNOWN_IDS, 400)),
    )
    return generated[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("case", CASES)
def test_prefix_vectors_equal_the_original(
    case: str, models: dict[str, LinearVisionPrefixModel], arrays: Arrays
) -> None:
    prefix = models[case].get_image_features(image_features=features_of(case, arrays)).pooler_output
    torch.testing.assert_close(prefix, arrays[f"{case}.prefix"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_loss_equal_the_original(
    case: str, models: dict[str, LinearVisionPrefixModel], arrays: Arrays
) -> None:
    with torch.inference_mode():
        logits = known_logits(models[case], case, arrays)
    seen = arrays[f"{case}.attention_mask"][:, -21:].bool()
    torch.testing.assert_close(logits[:, -21:][seen], arrays[f"{case}.logits"][seen], rtol=1e-4, atol=1e-4)
    loss = models[case].loss_function(logits, arrays[f"{case}.labels"], vocab_size=KNOWN_IDS)
    torch.testing.assert_close(loss, arrays[f"{case}.loss"][0], rtol=1e-5, atol=1e-5)


def test_the_gradient_of_the_projection_equals_the_original(
    models: dict[str, LinearVisionPrefixModel], arrays: Arrays
) -> None:
    model = models["nfrn50"]
    loss = model.loss_function(known_logits(model, "nfrn50", arrays), arrays["nfrn50.labels"], vocab_size=KNOWN_IDS)
    (gradient,) = torch.autograd.grad(loss, [model.projector.bias])
    torch.testing.assert_close(gradient, arrays["nfrn50.gradient_bias"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_greedy_ids_equal_the_original(case: str, models: dict[str, LinearVisionPrefixModel], arrays: Arrays) -> None:
    model, k = models[case], models[case].config.num_image_tokens
    for row, features in enumerate(features_of(case, arrays)):
        original = arrays[f"{case}.greedy_{row}"][0, k:].tolist()
        ids = behind_images(model, torch.zeros(1, 0, dtype=torch.long))
        assert greedy(model, ids, features[None], len(original)) == original


@pytest.mark.parametrize("case", CASES)
def test_greedy_ids_behind_a_prompt_equal_the_original_up_to_each_rows_own_end(
    case: str, models: dict[str, LinearVisionPrefixModel], arrays: Arrays
) -> None:
    """The original goes on after a row has ended, until all rows end in the same step; here each row ends by itself."""
    model = models[case]
    for row, features in enumerate(features_of(case, arrays)):
        ids = behind_images(model, arrays[f"{case}.prompt_ids"][row : row + 1])
        original = arrays[f"{case}.greedy_prompt"][row, ids.shape[1] :].tolist()
        whole = original[: original.index(EOS) + 1] if EOS in original else original
        assert greedy(model, ids, features[None], len(original)) == whole


def test_what_is_scored_ends_with_the_first_end_of_text(arrays: Arrays) -> None:
    """The original's rule; captions here have one end of text, and the processor's none before it, so it holds."""
    for caption, labels in zip(arrays["labels.captions"].tolist(), arrays["labels.labels"].tolist(), strict=True):
        end = caption.index(EOS) + 1 if EOS in caption else len(caption)
        assert labels == [IGNORED_LABEL] * 3 + caption[:end] + [IGNORED_LABEL] * (len(caption) - end)


@pytest.mark.parametrize("cut", ["0_9", "0_5", "0_1"])
def test_top_p_keeps_the_share_p_where_the_original_keeps_the_rest(cut: str, arrays: Arrays) -> None:
    """The original's filter at p is a nucleus of 1 - p: its default of 0.9 leaves one token here, as greedy does."""
    no_ids, logits = torch.zeros(4, 1, dtype=torch.long), arrays["filter.logits"]
    share = float(cut.replace("_", "."))
    assert torch.equal(TopPLogitsWarper(1 - share)(no_ids, logits).isfinite(), arrays[f"filter.{cut}"].isfinite())
    ours = TopPLogitsWarper(share)(no_ids, logits).isfinite()
    assert bool((torch.where(ours, logits.softmax(-1), 0.0).sum(-1) >= share).all())


@pytest.mark.shared
def test_a_grid_of_clips_width_is_projected_as_in_the_original(shared: Path, golden: Path) -> None:
    reference = shared / "reference" / "limber"
    model = LinearVisionPrefixModel.from_backbones(
        None, str(golden / "gptj_tiny"), feature_dim=3072, num_image_tokens=144
    )
    model.projector.load_state_dict(torch.load(reference / "clr_identity_proj.ckpt", weights_only=True))
    case = np.load(reference / "clr_identity.npz")
    prefix = model.get_image_features(image_features=torch.from_numpy(case["images"])).pooler_output
    torch.testing.assert_close(prefix, torch.from_numpy(case["prefix"]), rtol=1e-5, atol=1e-5)


@pytest.mark.shared
def test_images_between_texts_embed_and_continue_as_in_the_original(shared: Path, golden: Path) -> None:
    """Pixels through CLIP's ResNet, the projection and the language model; nothing stands between image and text."""
    from open_clip.modified_resnet import ModifiedResNet

    reference = shared / "reference" / "limber"
    case = {name: torch.from_numpy(array) for name, array in np.load(reference / "interleaved.npz").items()}
    network = ModifiedResNet(layers=(1, 1, 1, 1), output_dim=16, heads=4, image_size=96, width=8).eval()
    network.load_state_dict(torch.load(reference / "clip_rn_small_visual.pt", weights_only=True), strict=False)
    network.attnpool = torch.nn.Identity()
    with torch.inference_mode():
        grids = network(torch.cat([case["image0"], case["image2"]])).flatten(2).transpose(1, 2)
    model = LinearVisionPrefixModel.from_backbones(None, str(golden / "gptj_tiny"), feature_dim=256, num_image_tokens=9)
    model.projector.load_state_dict(torch.load(reference / "interleaved_proj.ckpt", weights_only=True))
    place = torch.full((1, 9), model.config.image_token_id)
    ids = torch.cat([place, case["ids1"], place, case["ids3"]], dim=1)
    seen: list[torch.Tensor] = []
    model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    with torch.inference_mode():
        model(input_ids=ids, image_features=grids)
    torch.testing.assert_close(seen[0], case["embeddings"], rtol=1e-5, atol=1e-5)
    original = case["greedy"][0, ids.shape[1] :].tolist()
    whole = original[: original.index(EOS) + 1] if EOS in original else original
    assert greedy(model, ids, grids, len(original)) == whole


def test_a_folder_of_weights_alone_has_no_tokenizer_that_could_say_what_an_image_is(golden: Path) -> None:
    """transformers makes an empty tokenizer there, whose next id, 1, is a word of the language model."""
    with pytest.raises(BackboneError, match="gptj_tiny' holds no tokenizer: transformers makes one of 1 words there"):
        load_tokenizer(str(golden / "gptj_tiny"))
    model = LinearVisionPrefixModel.from_backbones(None, str(golden / "gptj_tiny"), feature_dim=4, num_image_tokens=1)
    assert model.config.image_token_id == model.config.text_config.vocab_size
