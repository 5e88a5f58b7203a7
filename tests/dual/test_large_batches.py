"""One batch over several processes, or through a tower in parts, gives what it gives in one piece."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from linmap.errors import ConfigurationError

REPOSITORY = Path(__file__).resolve().parents[2]


def trained(
    text_encoder: Path, output: Path, processes: int, *options: str, batch_size: int = 8
) -> dict[str, torch.Tensor]:
    """The weights after three steps with a global batch of that size, run in `processes`."""
    each = str(batch_size // processes)
    program = ["-m", "tests.dual.train_pairs", str(text_encoder), str(output), each, *options]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        run = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", f"--master_port={port}"]
        program = [*run, *program]
    done = subprocess.run([sys.executable, *program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(output)


@pytest.mark.parametrize("options", [("image", "text"), ("text", "--loss", "sigmoid")])
def test_two_processes_learn_what_one_learns_from_the_same_global_batch(
    text_encoder_dir: Callable[[str], Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    one = trained(text_encoder_dir("bert"), tmp_path / "one.safetensors", 1, *options)
    two = trained(text_encoder_dir("bert"), tmp_path / "two.safetensors", 2, *options)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=0, msg=lambda said, name=name: f"{name}: {said}")
    half = trained(text_encoder_dir("bert"), tmp_path / "half.safetensors", 1, *options, batch_size=4)
    assert max((half[name] - value).abs().max() for name, value in one.items()) > 1e-4  # the batch does matter


def test_two_processes_with_gradient_caching_learn_the_same_too(
    text_encoder_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    one = trained(text_encoder_dir("bert"), tmp_path / "one.safetensors", 1, "image", "text")
    two = trained(text_encoder_dir("bert"), tmp_path / "two.safetensors", 2, "image", "text", "--mini-batch-size", "1")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=0, msg=lambda said, name=name: f"{name}: {said}")


def gradients(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model.train()(**inputs, return_loss=True).loss.backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("trained_towers", [["text"], ["image", "text"]])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_gradient_caching_gives_the_plain_gradient(
    tiny_dual: Any, loss: str, trained_towers: list[str], size: int
) -> None:
    inputs = {"pixel_values": torch.randn(7, 3, 160, 160), "input_ids": torch.randint(3, 300, (7, 6))}
    model, _ = tiny_dual(trained_towers=trained_towers, loss=loss)
    plain = gradients(model, inputs)
    model.config.mini_batch_size = size
    cached = gradients(model, inputs)
    assert plain.keys() == cached.keys()
    for name, gradient in plain.items():
        largest = max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(cached[name], gradient, atol=1e-5 * largest, rtol=0)


def test_with_gradient_caching_what_is_kept_for_the_gradient_is_no_more_than_the_batch_itself(tiny_dual: Any) -> None:
    """Everything the graph of one step holds, in values a pair."""

    def kept(size: int | None, pairs: int) -> float:
        held: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        model, _ = tiny_dual(trained_towers=["image"], mini_batch_size=size)
        inputs = {"pixel_values": torch.randn(pairs, 3, 160, 160), "text_features": torch.randn(pairs, 16)}
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model.train()(**inputs, return_loss=True).loss
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        assert loss.requires_grad
        return sum(size for place, size in held.items() if place not in weights) / pairs / 4

    pixels = 3 * 160 * 160
    assert kept(None, 16) > 5 * pixels
    assert kept(2, 16) < 1.1 * pixels


def test_gradient_caching_refuses_batch_normalisation_that_learns(
    text_encoder_dir: Callable[[str], Path],
) -> None:
    from linmap import DualEncoderModel

    model = DualEncoderModel.from_backbones(
        "timm:test_resnet",
        f"hf:{text_encoder_dir('bert')}",
        text_pooling="mean",
        trained_towers=["image"],
        mini_batch_size=2,
        image_encoder_kwargs={"pretrained": False, "seed": 0},
    )
    inputs = {"pixel_values": torch.randn(4, 3, 160, 160), "input_ids": torch.randint(3, 300, (4, 6))}
    with pytest.raises(ConfigurationError, match="mini_batch_size=2: the image tower has batch normalisation"):
        model.train()(**inputs, return_loss=True)
    model.eval()(**inputs, return_loss=True).loss.backward()
