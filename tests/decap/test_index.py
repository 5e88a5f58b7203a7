from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from linmap.decap.memory import SupportMemory
from linmap.errors import SupportMemoryError, UnknownNameError

pytest.importorskip("faiss")


@pytest.fixture
def memory() -> SupportMemory:
    """2,000 latents around 40 centres, as captions lie around what they are about."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(40, 16, generator=generator).repeat(50, 1)
    latents = centres + 0.3 * torch.randn(2000, 16, generator=generator)
    return SupportMemory.from_latents(latents, [str(row) for row in range(2000)])


@pytest.fixture
def photos(memory) -> Tensor:
    return memory.latents(range(0, 2000, 97)) + 0.05


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_the_flat_index_finds_what_a_full_pass_finds(memory, photos, dtype):
    memory = SupportMemory.from_latents(memory.latents(), memory.captions, dtype=dtype)
    searched = memory.project(photos, top_k=9)
    torch.testing.assert_close(memory.build_index("flat").project(photos, top_k=9), searched, rtol=0, atol=1e-5)


def test_cells_around_centres_find_nearly_all(memory, photos):
    exact = memory.project(photos, 0.05)
    assert (memory.build_index("ivf").project(photos, 0.05, top_k=64) * exact).sum(1).mean() > 0.99


def test_more_probes_find_more_and_all_of_them_everything(memory, photos):
    exact = memory.project(photos, 0.05, top_k=200)
    near = [
        float(
            (memory.build_index("ivf", cells=40, probes=probes).project(photos, 0.05, top_k=200) * exact).sum(1).mean()
        )
        for probes in (1, 4, 40)
    ]
    assert near == sorted(near)
    assert near[-1] == pytest.approx(1, abs=1e-5)


def test_rows_that_a_cell_does_not_hold_have_no_part(memory, photos):
    projected = memory.build_index("ivf", cells=400, probes=1).project(
        photos, top_k=300
    )  # a cell holds five rows or so
    assert torch.isfinite(projected).all()
    torch.testing.assert_close(projected.norm(dim=1), torch.ones(len(photos)))


def test_an_index_is_the_same_each_time(memory, photos):
    first = memory.build_index("ivf").project(photos, top_k=9)
    assert torch.equal(memory.build_index("ivf").project(photos, top_k=9), first)


def test_an_unknown_index_gets_a_suggestion(memory):
    with pytest.raises(UnknownNameError, match=r"Unknown index 'falt'\. Did you mean 'flat'\? Known: flat, ivf"):
        memory.build_index("falt")


@pytest.mark.parametrize(("cells", "probes"), [(3000, 1), (10, 20)])
def test_cells_and_probes_that_do_not_fit_are_refused(memory, cells, probes):
    with pytest.raises(
        SupportMemoryError, match=rf"{probes} of {cells} cells cannot be looked into in a memory of 2000"
    ):
        memory.build_index("ivf", cells=cells, probes=probes)


def test_without_faiss_it_says_what_to_install():
    check = (
        "import sys; sys.modules['faiss'] = None; import torch; from linmap.decap.memory import SupportMemory\n"
        "try: SupportMemory.from_latents(torch.eye(2), ['a', 'b']).build_index()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "faiss is not installed. Run: python -m pip install 'linmap[faiss]'\n"
