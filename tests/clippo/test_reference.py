"""The original's numbers (google-research/big_vision, Apache-2.0), small weights: see tests/golden/clippo/README.md."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from linmap import ClippoModel, ClippoProcessor
from linmap.clippo.image_processing import ClippoImageProcessor, resize_without_antialias, scaled_to_unit_range
from linmap.clippo.towers import resized_positions
from linmap.conversion import original_clippo
from tests.conversion.big_vision import golden_arrays, golden_parameters, in_layout, written

REPOSITORY = Path(__file__).resolve().parents[2]

UNKNOWN = 12345.0  # stands where the original's gradient was not kept

Arrays = dict[str, np.ndarray]


@dataclass
class Case:
    """The original's weights, and what it computed with them.

    Args:
        parameters: `img/head/kernel` and so on.
        arrays: Inputs, and what came of them.
        model: Ours.
    """

    parameters: Arrays
    arrays: Arrays
    model: ClippoModel


@pytest.fixture(params=[pytest.param("golden"), pytest.param("photos", marks=pytest.mark.shared)])
def case(tmp_path: Path, request: pytest.FixtureRequest) -> Case:
    """On noise, from tests/golden, and on photos, from the shared folder."""
    if request.param == "golden":
        parameters, arrays = golden_parameters(), golden_arrays()
    else:
        reference = request.getfixturevalue("shared") / "reference" / "clippo"
        with np.load(reference / "model_io.npz") as held, np.load(reference / "ckpt_params.npz") as saved:
            arrays = dict(held)
            parameters = {name.removeprefix("params/"): value for name, value in saved.items()}
    return Case(parameters, arrays, original_clippo(written(tmp_path / "original.npz", parameters)))


def tower_pixels(arrays: Arrays, name: str) -> Tensor:
    """The original's (n, height, width, 3) as ours."""
    return torch.from_numpy(arrays[name]).permute(0, 3, 1, 2)


def seen_inside(model: ClippoModel, pixels: Tensor) -> dict[str, Tensor]:
    """What flows through the tower, under the names that the original gives it."""
    seen: dict[str, Tensor] = {}

    def output_of(module: nn.Module, name: str) -> Any:
        return module.register_forward_hook(lambda _module, _given, made: seen.update({name: made}))

    def input_of(module: nn.Module, name: str) -> Any:
        return module.register_forward_pre_hook(lambda _module, given: seen.update({name: given[0]}))

    tower: Any = model.tower
    hooks = [output_of(tower.patch_embed, "stem"), output_of(tower.norm, "encoded")]
    hooks += [input_of(tower.blocks[0], "with_posemb"), input_of(tower.norm, "encoder/pre_ln")]
    for number, block in enumerate(tower.blocks):
        name = f"encoder/block{number:02d}"
        hooks += [output_of(block.attn, f"{name}/sa"), input_of(block.norm2, f"{name}/+sa")]
        hooks += [output_of(block.mlp, f"{name}/mlp"), output_of(block, f"{name}/+mlp")]
    with torch.no_grad():
        features = model.encode_images(pixels)
        for hook in hooks:
            hook.remove()
        grid = (len(pixels), *tower.patch_embed.grid_size, -1)
        logits = model.projection(features)
        return seen | {
            "stem": seen["stem"].reshape(grid),
            "head_input": features,
            "pre_logits": features,
            "pre_logits_2d": seen["encoded"].reshape(grid),
            "logits": logits,
            "logits_2d": model.projection(seen["encoded"]).reshape(grid),
            "norm": logits.norm(dim=1, keepdim=True),
            "normalized": model.get_image_features(pixels),
        }


def test_every_tensor_inside_is_the_originals(case: Case) -> None:
    model, arrays = case.model, case.arrays
    met = set()
    for prefix, images in (("img", "images"), ("txt", "text_images")):
        for key, value in seen_inside(model, tower_pixels(arrays, images)).items():
            met.add(f"out/{prefix}/{key}")
            np.testing.assert_allclose(value, arrays[f"out/{prefix}/{key}"], rtol=0, atol=1e-4, err_msg=key)
    scale = model.logit_scale.detach()
    np.testing.assert_allclose(scale, arrays["out/t/parameter"].item(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(scale.exp(), arrays["out/t"].item(), rtol=0, atol=1e-4)
    assert met | {"out/t", "out/t/parameter"} == {key for key in arrays if key.startswith("out/")}


def test_embeddings_loss_and_probabilities_are_the_originals(case: Case) -> None:
    model, arrays = case.model, case.arrays
    with torch.no_grad():
        output = model(
            pixel_values=tower_pixels(arrays, "images"),
            text_pixel_values=tower_pixels(arrays, "text_images"),
            return_loss=True,
        )
    np.testing.assert_allclose(output.image_embeds, arrays["zimg"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(output.text_embeds, arrays["ztxt"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(output.loss, arrays["loss"].item(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(output.logits_per_text.softmax(1), arrays["probs_txt_to_img"], rtol=0, atol=1e-4)


def test_the_gradient_of_every_weight_is_the_originals(case: Case, tmp_path: Path) -> None:
    """A checkpoint of the original's gradients, converted, holds ours."""
    model, arrays = case.model, case.arrays
    model(
        pixel_values=tower_pixels(arrays, "images"),
        text_pixel_values=tower_pixels(arrays, "text_images"),
        return_loss=True,
    ).loss.backward()
    known = {key.removeprefix("grad/"): value for key, value in arrays.items() if key.startswith("grad/")}
    unknown = {name: np.full_like(value, UNKNOWN) for name, value in case.parameters.items()}
    expected = original_clippo(written(tmp_path / "gradients.npz", unknown | known))
    theirs, compared = dict(expected.named_parameters()), 0
    for name, weight in model.named_parameters():
        gradient = theirs[name].detach()
        places = gradient != UNKNOWN
        compared += int(places.sum())
        np.testing.assert_allclose(weight.grad[places], gradient[places], rtol=0, atol=1e-4, err_msg=name)
    assert compared == sum(value.size for value in known.values())


def test_two_processes_have_the_loss_of_the_originals_two_devices(case: Case, tmp_path: Path) -> None:
    model, arrays = case.model, case.arrays
    model.save_pretrained(tmp_path / "model")
    inputs = {
        "pixel_values": tower_pixels(arrays, "images").contiguous(),
        "text_pixel_values": tower_pixels(arrays, "text_images").contiguous(),
    }
    save_file(inputs, tmp_path / "inputs.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = ["-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    program = ["-m", "tests.clippo.loss_of_a_part", tmp_path / "model", tmp_path / "inputs.safetensors"]
    done = subprocess.run(
        [sys.executable, *run, *program, tmp_path / "loss"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [json.loads((tmp_path / f"loss-{rank}.json").read_text()) for rank in range(2)]
    np.testing.assert_allclose(np.mean(losses), arrays["loss_2dev"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("grid", [5, 2])
def test_positions_are_resized_as_the_original_resizes_them(grid: int) -> None:
    arrays = golden_arrays()
    resized = resized_positions(torch.from_numpy(arrays["params/img/pos_embedding"]), grid)
    np.testing.assert_allclose(resized, arrays[f"posemb_{grid}"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("grid", [5, 2])
def test_images_of_another_size_are_embedded_as_the_original_embeds_them(grid: int, tmp_path: Path) -> None:
    arrays = golden_arrays()
    path = written(tmp_path / "a.npz", in_layout(golden_parameters(), "params"))
    model = original_clippo(path, image_size=4 * grid)
    with torch.no_grad():
        embedded = model.get_image_features(tower_pixels(arrays, f"images_{4 * grid}"))
    np.testing.assert_allclose(embedded, arrays[f"zimg_{4 * grid}"], rtol=0, atol=1e-4)


def test_photos_are_resized_and_scaled_as_tensorflow_does_it_to_the_bit() -> None:
    arrays = golden_arrays("image_pp")
    names = [name.removeprefix("image/") for name in arrays if name.startswith("image/")]
    assert len(names) == 7
    for name in names:
        image, side = arrays[f"image/{name}"], int(name.rpartition("_")[2])
        small = resize_without_antialias(image, side)
        np.testing.assert_array_equal(small, arrays[f"resized/{name}"], err_msg=name)
        np.testing.assert_array_equal(scaled_to_unit_range(small), arrays[f"pixels/{name}"], err_msg=name)
        pixels = ClippoImageProcessor(image_size=side)(images=Image.fromarray(image), return_tensors="np")
        np.testing.assert_array_equal(pixels["pixel_values"][0].transpose(1, 2, 0), arrays[f"pixels/{name}"])


@pytest.mark.parametrize("case", [pytest.param("photos", marks=pytest.mark.shared)], indirect=True)
def test_the_processor_draws_the_originals_texts_to_the_bit(case: Case) -> None:
    texts = [str(text) for text in case.arrays["texts"]]
    drawn = ClippoProcessor.for_model(case.model)(text=texts, return_tensors="pt")["text_pixel_values"]
    assert torch.equal(drawn, tower_pixels(case.arrays, "text_images"))
    with torch.no_grad():
        embedded = case.model.get_text_features(texts)
    np.testing.assert_allclose(embedded, case.arrays["ztxt"], rtol=0, atol=1e-4)
