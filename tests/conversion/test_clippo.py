"""Checkpoints of CLIPPO as big_vision writes them become folders that load, whichever layout they have."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoProcessor

from linmap import ClippoModel, ClippoProcessor
from linmap.conversion import convert_clippo, original_clippo
from linmap.errors import ConfigurationError, ConversionError, OutputFolderError
from linmap.weights import sha256_of
from tests.conversion.big_vision import LAYOUTS, golden_parameters, in_layout, written

Parameters = dict[str, np.ndarray]

QUERY = "img/Transformer/encoderblock_0/MultiHeadDotProductAttention_0/query/kernel"
SCALE = "img/Transformer/encoderblock_1/LayerNorm_0/scale"


@pytest.fixture
def parameters() -> Parameters:
    return golden_parameters()


def refused(path: Path, said: str, leaves: Parameters, **kwargs: Any) -> None:
    written(path / "a.npz", leaves)
    with pytest.raises(ConversionError, match=said):
        original_clippo(path / "a.npz", **kwargs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_model(layout: str, parameters: Parameters, tmp_path: Path) -> None:
    expected = original_clippo(written(tmp_path / "a.npz", in_layout(parameters, "params"))).state_dict()
    found = original_clippo(written(tmp_path / "b.npz", in_layout(parameters, layout))).state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        exact = value.bfloat16().float() if layout == "bfloat16" else value
        assert torch.equal(found[name], exact), name


def test_sizes_are_read_from_the_shapes(parameters: Parameters, tmp_path: Path) -> None:
    config = original_clippo(written(tmp_path / "a.npz", parameters)).config
    assert (config.image_size, config.patch_size, config.hidden_size, config.num_hidden_layers) == (12, 4, 12, 2)
    assert (config.num_attention_heads, config.intermediate_size, config.projection_dim) == (3, 20, 10)
    assert config.text_input == "pixels"


def test_the_folder_loads_by_itself_and_by_the_auto_classes(parameters: Parameters, tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "a.npz", in_layout(parameters, "full"))
    folder = convert_clippo(checkpoint, tmp_path / "model")
    direct = original_clippo(checkpoint)
    pixels = torch.rand(2, 3, 12, 12) * 2 - 1
    for loaded in (ClippoModel.from_pretrained(folder), AutoModel.from_pretrained(folder)):
        assert torch.equal(loaded.eval().get_image_features(pixels), direct.get_image_features(pixels))
    assert AutoConfig.from_pretrained(folder).projection_dim == 10
    for processor in (ClippoProcessor.from_pretrained(folder), AutoProcessor.from_pretrained(folder)):
        assert processor(text="a", return_tensors="pt")["text_pixel_values"].shape == (1, 3, 12, 12)
    assert all(value.dtype == torch.float32 for value in load_file(folder / "model.safetensors").values())


def test_the_card_says_which_file_it_was_and_that_the_glyphs_are_others(parameters: Parameters, tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "clippo_b16.npz", parameters)
    card = (convert_clippo(checkpoint, tmp_path / "model", image_size=20) / "README.md").read_text(encoding="utf-8")
    assert f"clippo_b16.npz, sha256 {sha256_of(checkpoint)}" in card
    assert "GNU Unifont 9.0.06" in card
    assert "linmap convert clippo clippo_b16.npz --out model --image-size 20" in card


def test_another_image_size_changes_the_positions_and_nothing_else(parameters: Parameters, tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "a.npz", parameters)
    folder = convert_clippo(checkpoint, tmp_path / "model", image_size=24)
    model, learned = ClippoModel.from_pretrained(folder), original_clippo(checkpoint)
    assert model.config.image_size == ClippoProcessor.from_pretrained(folder).image_size == 24
    for name, value in learned.state_dict().items():
        if name != "tower.pos_embed":
            assert torch.equal(model.state_dict()[name], value), name
    corners = model.state_dict()["tower.pos_embed"].reshape(6, 6, -1)[[0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, learned.tower.pos_embed[0, [0, 2, 6, 8]])
    assert model.get_image_features(torch.zeros(1, 3, 24, 24)).shape == (1, 10)


def test_the_size_it_learned_from_is_no_change(parameters: Parameters, tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "a.npz", parameters)
    same = original_clippo(checkpoint, image_size=12).state_dict()
    assert all(torch.equal(same[name], value) for name, value in original_clippo(checkpoint).state_dict().items())


@pytest.mark.parametrize("image_size", [0, 3, 21, 10_000_000])
def test_an_image_size_that_cannot_be_is_refused(image_size: int, parameters: Parameters, tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "a.npz", parameters)
    with pytest.raises(ConfigurationError, match=rf"is {image_size}\b"):
        convert_clippo(checkpoint, tmp_path / "model", image_size=image_size)
    assert not (tmp_path / "model").exists()


def test_a_tower_that_ends_in_another_width_than_its_own_is_converted(parameters: Parameters, tmp_path: Path) -> None:
    leaves = {**parameters, "img/head/kernel": np.ones((12, 7), np.float32), "img/head/bias": np.zeros(7, np.float32)}
    model = original_clippo(written(tmp_path / "a.npz", leaves))
    assert model.get_text_features(["a"]).shape == (1, 7)


@pytest.mark.parametrize("layout", ["params", "scanned"])
def test_every_leaf_is_needed(layout: str, parameters: Parameters, tmp_path: Path) -> None:
    leaves = in_layout(parameters, layout)
    for name in leaves:
        left = {other: value for other, value in leaves.items() if other != name}
        place = name.removeprefix("params/").replace("encoderblock/", "encoderblock_0/")
        refused(tmp_path, rf"the leaf {re.escape(place)}\S* is missing", left)


def test_every_leaf_has_its_shape(parameters: Parameters, tmp_path: Path) -> None:
    for name, value in parameters.items():
        for odd in (value[..., :-1], value[..., None]):
            said = re.escape(name) + r"|img/\S+ is \(|fit no tower"
            refused(tmp_path, said, {**parameters, name: odd})


def test_a_leaf_too_many_is_named(parameters: Parameters, tmp_path: Path) -> None:
    extra = np.zeros(3, np.float32)
    refused(tmp_path, r"1 leaves that CLIPPO has not, such as img/cls\.", {**parameters, "img/cls": extra})
    refused(tmp_path, r"one tower \(img\) .* it also holds b\. .* CLIP or SigLIP", {**parameters, "b": extra})


def test_two_towers_are_refused_as_what_they_are(parameters: Parameters, tmp_path: Path) -> None:
    both = parameters | {name.replace("img/", "txt/"): value for name, value in parameters.items()}
    refused(tmp_path, r"is no CLIPPO, .* it also holds txt\.", in_layout(both, "params"))


def test_a_tower_alone_is_refused(parameters: Parameters, tmp_path: Path) -> None:
    alone = {name.removeprefix("img/"): value for name, value in parameters.items() if name != "t"}
    refused(tmp_path, r"it also holds MAPHead_0, Transformer, embedding, head\.", alone)


def test_other_poolings_and_embeddings_are_refused_by_what_they_lack(parameters: Parameters, tmp_path: Path) -> None:
    pooled_by_mean = {name: value for name, value in parameters.items() if "MAPHead" not in name}
    refused(tmp_path, r"the leaf img/MAPHead_0/probe is missing", pooled_by_mean)
    with_class_token = {**parameters, "img/pos_embedding": np.zeros((1, 10, 12), np.float32)}
    refused(tmp_path, r"holds 10 positions, .* A class token", with_class_token)
    oblong = {**parameters, "img/embedding/kernel": np.zeros((4, 2, 3, 12), np.float32)}
    refused(tmp_path, r"are 4 x 2 pixels of 3 colours", oblong)
    grey = {**parameters, "img/embedding/kernel": np.zeros((4, 4, 1, 12), np.float32)}
    refused(tmp_path, r"are 4 x 4 pixels of 1 colours", grey)
    five_heads = {**parameters, QUERY: np.zeros((12, 5, 4), np.float32)}
    refused(tmp_path, r"fit no tower\. hidden_size is 12 and num_attention_heads 5", five_heads)


def test_a_block_between_others_is_missed(parameters: Parameters, tmp_path: Path) -> None:
    moved = {name.replace("encoderblock_1/", "encoderblock_7/"): value for name, value in parameters.items()}
    refused(tmp_path, r"the leaf img/Transformer/encoderblock_1 is missing", moved)


def test_stacked_blocks_are_as_many_in_every_leaf(parameters: Parameters, tmp_path: Path) -> None:
    leaves = in_layout(parameters, "scanned")
    odd = "params/img/Transformer/encoderblock/LayerNorm_1/bias"
    refused(tmp_path, rf"{odd.removeprefix('params/')} holds 1, others 2", {**leaves, odd: leaves[odd][:1]})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.arange(12), rf"the leaf {SCALE} is int64 of the shape \(12,\)"),
        (np.array(["a"] * 12), rf"the leaf {SCALE} is <U1"),
        (np.zeros(12, "V3"), rf"the leaf {SCALE} is \|V3"),
        (np.zeros(12, [("a", np.int16)]), rf"the leaf {SCALE} is \["),
        (np.zeros(12, np.complex64), rf"the leaf {SCALE} is complex64"),
        (np.array([np.nan] * 12), rf"the leaf {SCALE} holds values that are no finite numbers"),
        (np.array([1e300] * 12), rf"the leaf {SCALE} holds values that are no finite numbers"),
    ],
)
def test_a_leaf_that_is_no_parameter_is_named(
    value: np.ndarray, said: str, parameters: Parameters, tmp_path: Path
) -> None:
    refused(tmp_path, said, {**parameters, SCALE: value})


@pytest.mark.parametrize("kind", [np.float16, np.float64, ">f4"])
def test_other_precisions_and_byte_orders_become_float32(kind: Any, parameters: Parameters, tmp_path: Path) -> None:
    half = {name: value.astype(kind) for name, value in parameters.items()}
    model = original_clippo(written(tmp_path / "a.npz", half))
    expected = torch.from_numpy(parameters["img/head/bias"].astype(kind).astype(np.float32))
    assert torch.equal(model.projection.bias, expected)


def test_code_in_a_file_is_not_run(parameters: Parameters, tmp_path: Path) -> None:
    pickled = np.empty(12, dtype=object)
    refused(
        tmp_path, rf"its leaf {SCALE} cannot be read \(Object arrays cannot be loaded", {**parameters, SCALE: pickled}
    )


def test_what_a_training_left_beside_the_parameters_is_not_even_read(parameters: Parameters, tmp_path: Path) -> None:
    state = {"opt/0/mu": np.empty(1, dtype=object), "chrono/note": np.empty(1, dtype=object)}
    for layout in ("params", "bare"):
        assert (
            original_clippo(written(tmp_path / "a.npz", in_layout(parameters, layout) | state)).config.patch_size == 4
        )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ConversionError, match=r"a\.npz is no npz file as np\.savez and big_vision write them"):
        original_clippo(tmp_path / "a.npz")


def test_an_array_a_folder_and_nothing_are_refused(parameters: Parameters, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", parameters["t"])
    with pytest.raises(ConversionError, match="is no npz file"):
        original_clippo(tmp_path / "a.npy")
    with pytest.raises(ConversionError, match=r"it cannot be read \(Is a directory\)"):
        original_clippo(tmp_path)
    with pytest.raises(ConversionError, match="there is no such file; check the path"):
        original_clippo(tmp_path / "b.npz")
    refused(tmp_path, "leaves", {})


def test_a_file_cut_off_anywhere_is_one_clear_error(parameters: Parameters, tmp_path: Path) -> None:
    whole = written(tmp_path / "a.npz", parameters).read_bytes()
    for kept in range(0, len(whole), len(whole) // 23):
        (tmp_path / "b.npz").write_bytes(whole[:kept])
        with pytest.raises(ConversionError, match=r"is no npz file|cannot be read"):
            original_clippo(tmp_path / "b.npz")


def test_a_bit_that_turned_is_found_and_the_leaf_named(parameters: Parameters, tmp_path: Path) -> None:
    whole = bytearray(written(tmp_path / "a.npz", parameters).read_bytes())
    place = whole.index(parameters["img/head/kernel"].tobytes()[:16])
    whole[place] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(
        ConversionError, match=r"a\.npz is damaged, .* its leaf img/head/kernel cannot be read \(Bad CRC"
    ):
        original_clippo(tmp_path / "a.npz")


def test_a_leaf_that_claims_to_be_huge_is_refused(parameters: Parameters, tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**14,)})
    written(tmp_path / "a.npz", {name: value for name, value in parameters.items() if name != "t"})
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("t.npy", header.getvalue())
    with pytest.raises(ConversionError, match="its leaf t cannot be read"):
        original_clippo(tmp_path / "a.npz")


def test_nothing_is_overwritten(parameters: Parameters, tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "a.npz", parameters)
    with pytest.raises(OutputFolderError, match="holds files already"):
        convert_clippo(checkpoint, tmp_path)
    with pytest.raises(OutputFolderError, match="is a file"):
        convert_clippo(checkpoint, checkpoint)
