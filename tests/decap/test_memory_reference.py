"""The original's projection, nearest rows and weights: ../shared/reference/decap/README.md, tests/golden/decap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from linmap.decap.memory import SupportMemory

TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Tensor]:
    arrays = np.load(shared / "reference" / "decap" / "memory.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def memory_of(raw: Tensor, dtype: str = "float32") -> SupportMemory:
    return SupportMemory.from_latents(raw, [f"caption {row}" for row in range(len(raw))], dtype=dtype)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "scale"), [("prefix_fp32", 100), ("prefix_fp32_scale50", 50), ("prefix_fp32_scale150", 150)]
)
def test_the_projection_equals_the_original(reference, name, scale):
    projected = memory_of(reference["memory_raw_fp16"].float()).project(reference["image_features_raw"], 1 / scale)
    torch.testing.assert_close(projected, reference[name], **TOLERANCE)


@pytest.mark.shared
def test_a_half_precision_memory_of_half_precision_latents_equals_the_original_in_half_precision(reference):
    # The original divides its half precision rows by their length in half precision, and is less exact for it: rows
    # that are normalised in float32 and rounded once come nearer to the projection in float32.
    raw, photos = reference["memory_raw_fp16"], reference["image_features_raw"]
    as_the_original = memory_of(raw, "float16").project(photos)
    torch.testing.assert_close(as_the_original, reference["prefix_fp16"], **TOLERANCE)
    ours = memory_of(raw.float(), "float16").project(photos)
    exact = reference["prefix_fp32"]
    assert (ours - exact).abs().max() < (as_the_original - exact).abs().max()


@pytest.mark.shared
@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("fp16", torch.float16)])
def test_nearest_rows_and_weights_equal_the_original(reference, precision, dtype):
    memory = memory_of(reference["memory_raw_fp16"].to(dtype), str(dtype).removeprefix("torch."))
    photos = reference["image_features_raw"]
    support = memory.support(photos, k=10)
    assert torch.equal(memory.nearest(photos), reference[f"nn_index_{precision}"])
    assert torch.equal(support.indices, reference[f"w_top10_idx_{precision}"])
    torch.testing.assert_close(support.weights, reference[f"w_top10_{precision}"], **TOLERANCE)
    nearest = memory.latents(memory.nearest(photos))
    cosines = (nearest * torch.nn.functional.normalize(photos, dim=1)).sum(1)
    torch.testing.assert_close(cosines, reference[f"nn_cos_{precision}"], **TOLERANCE)
    weights = memory.support(photos, k=len(memory)).weights.double()
    entropy = torch.special.entr(weights).sum(1).float()
    torch.testing.assert_close(entropy, reference[f"weights_entropy_{precision}"], **TOLERANCE)


def test_a_few_rows_of_the_original_are_projected_as_numpy_does_in_float64(repository):
    golden = load_file(repository / "tests" / "golden" / "decap" / "memory.safetensors")
    memory, photos = memory_of(golden["memory_raw"].float()), golden["features_raw"]
    for scale in (100, 50):
        torch.testing.assert_close(memory.project(photos, 1 / scale), golden[f"projected_{scale}"], **TOLERANCE)
    assert torch.equal(memory.nearest(photos), golden["nearest"])
    torch.testing.assert_close(memory.support(photos).weights, golden["weights"], **TOLERANCE)
