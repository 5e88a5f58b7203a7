from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from linmap.decap.memory import SupportMemory
from linmap.errors import MemoryMismatchError, SupportMemoryError, UnknownNameError
from linmap.weights import Fingerprint

TOWER = Fingerprint(name="wheel:all-minilm-l6-v2", library="linmap", id="text_latents", sha256="a" * 64)


def random(rows: int, seed: int, dim: int = 32) -> Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def latents() -> Tensor:
    return random(500, 0)


@pytest.fixture
def photos() -> Tensor:
    return random(6, 1)


@pytest.fixture
def captions() -> list[str]:
    return [f"caption {row} žluťoučký" for row in range(500)]


@pytest.fixture
def memory(latents, captions) -> SupportMemory:
    return SupportMemory.from_latents(latents, captions, text_tower=TOWER)


def plain(photos: Tensor, latents: Tensor, temperature: float) -> Tensor:
    v, m = F.normalize(photos, dim=1), F.normalize(latents, dim=1)
    return F.normalize(torch.softmax(v @ m.T / temperature, dim=1) @ m, dim=1)


def test_the_projection_is_the_papers_equation_whatever_the_lengths(memory, latents, photos):
    torch.testing.assert_close(memory.project(3 * photos, 0.05), plain(photos, latents, 0.05), rtol=0, atol=1e-6)


def test_a_projection_has_length_one(memory, photos):
    torch.testing.assert_close(memory.project(photos).norm(dim=1), torch.ones(6))


def test_towards_temperature_zero_the_projection_is_the_nearest_latent(memory, photos):
    nearest = memory.latents(memory.nearest(photos))
    torch.testing.assert_close(memory.project(photos, 1e-6), nearest, rtol=0, atol=1e-5)


def test_a_memory_of_one_caption_gives_that_caption(photos):
    memory = SupportMemory.from_latents(random(1, 5), ["the one"])
    assert memory.nearest(photos).tolist() == [0] * 6
    torch.testing.assert_close(memory.project(photos), memory.latents([0]).expand(6, -1))
    assert memory.support(photos, k=5).weights.tolist() == [[1.0]] * 6


def test_the_order_of_the_memory_changes_nothing(memory, latents, captions, photos):
    order = torch.randperm(500, generator=torch.Generator().manual_seed(2))
    mixed = SupportMemory.from_latents(latents[order], [captions[row] for row in order])
    torch.testing.assert_close(mixed.project(photos, 0.05), memory.project(photos, 0.05), rtol=0, atol=1e-6)
    assert [mixed.captions[row] for row in mixed.nearest(photos)] == [
        memory.captions[r] for r in memory.nearest(photos)
    ]


def test_a_row_of_many_is_the_row_alone(memory, photos):
    torch.testing.assert_close(memory.project(photos)[2:3], memory.project(photos[2:3]), rtol=0, atol=1e-6)


def test_the_weights_of_all_rows_add_up_to_one(memory, photos):
    support = memory.support(photos, k=500, temperature=0.1)
    torch.testing.assert_close(support.weights.sum(1), torch.ones(6))
    assert (support.weights.diff(dim=1) <= 0).all()


def test_the_supports_weights_make_the_projection(memory, photos):
    support = memory.support(photos, k=500, temperature=0.1)
    mean = torch.einsum("bk,bkd->bd", support.weights, memory.latents(support.indices.flatten()).unflatten(0, (6, 500)))
    torch.testing.assert_close(F.normalize(mean, dim=1), memory.project(photos, 0.1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "cosine"), [("float16", 0.9999), ("int8", 0.998)])
def test_a_smaller_number_format_projects_nearly_the_same(memory, latents, captions, photos, dtype, cosine):
    small = SupportMemory.from_latents(latents, captions, dtype=dtype)
    assert small.dtype == dtype
    assert (small.project(photos) * memory.project(photos)).sum(1).min() > cosine


def test_int8_rows_have_length_one_and_stay_the_same_when_stored_again(latents, captions):
    memory = SupportMemory.from_latents(latents, captions, dtype="int8")
    torch.testing.assert_close(memory.latents().norm(dim=1), torch.ones(500))
    again = SupportMemory.from_latents(memory.latents(), captions, dtype="int8")
    assert torch.equal(again.latents(), memory.latents())


@pytest.mark.parametrize("value", [4000.0, 2e-7])
def test_half_precision_latents_longer_or_shorter_than_half_precision_tells_have_length_one(value):
    latents = torch.full((2, 512), value).half()
    latents[1, ::3] *= 2
    stored = SupportMemory.from_latents(latents, ["a", "b"], dtype="float16").latents()
    torch.testing.assert_close(stored, F.normalize(latents.float(), dim=1), rtol=0, atol=5e-5)


def test_top_k_without_an_index_is_the_softmax_over_the_k_nearest(memory, latents, photos):
    nearest = (F.normalize(photos, dim=1) @ F.normalize(latents, dim=1).T).topk(7, dim=1).indices
    expected = torch.cat([plain(photos[row : row + 1], latents[nearest[row]], 0.1) for row in range(6)])
    torch.testing.assert_close(memory.project(photos, 0.1, top_k=7), expected, rtol=0, atol=1e-6)


def test_top_k_of_all_rows_is_the_exact_projection(memory, photos):
    torch.testing.assert_close(memory.project(photos, top_k=10_000), memory.project(photos), rtol=0, atol=1e-5)


def test_latents_that_want_gradients_are_projected_without(memory, photos):
    assert not memory.project(photos.requires_grad_()).requires_grad


def test_half_precision_latents_are_projected_in_float32(memory, photos):
    projected = memory.project(photos.half(), 0.05)
    assert projected.dtype == torch.float32
    torch.testing.assert_close(projected, memory.project(photos.half().float(), 0.05))


def test_a_sample_is_made_of_the_memorys_rows_and_lies_in_a_larger_one(memory):
    small, large = memory.sample(20, seed=3), memory.sample(60, seed=3)
    assert len(small) == 20
    assert set(small.captions) < set(large.captions) < set(memory.captions)
    assert set(memory.sample(20, seed=4).captions) != set(small.captions)
    row = list(memory.captions).index(small.captions[7])
    assert torch.equal(small.latents([7]), memory.latents([row]))
    assert small.text_tower == TOWER


def test_captions_are_a_sequence_of_strings(memory, captions):
    assert list(memory.captions) == captions
    assert memory.captions[-1] == captions[-1]
    assert memory.captions[3:6] == captions[3:6]
    assert memory.captions[torch.tensor(4)] == captions[4]
    with pytest.raises(IndexError):
        memory.captions[500]


def test_a_memory_says_what_it_is(memory):
    assert repr(memory) == "SupportMemory(500 captions, 32 channels, float32, on cpu)"
    assert (len(memory), memory.dim, memory.device) == (500, 32, torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_a_gpu_projects_as_the_cpu_does(latents, captions, photos, dtype, where):
    memory = SupportMemory.from_latents(latents, captions, dtype=dtype)
    there = memory.to(where).project(photos.cuda())
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), memory.project(photos), rtol=0, atol=1e-5)
    assert torch.equal(memory.to(where).nearest(photos.cuda()).cpu(), memory.nearest(photos))


def test_another_text_towers_memory_is_refused(memory):
    other = Fingerprint(name="open_clip:ViT-B-32/openai", library="linmap", id="text_latents", sha256="b" * 64)
    memory.require_text_tower(TOWER)
    with pytest.raises(
        MemoryMismatchError,
        match=r"holds latents of the text tower 'wheel:all-minilm-l6-v2' \(sha256 a{12}…\), and the model needs those "
        r"of 'open_clip:ViT-B-32/openai' .*linmap memory build CAPTIONS --model MODEL --output DIR",
    ):
        memory.require_text_tower(other)


def test_a_memory_that_names_no_tower_is_taken_as_it_is(latents, captions):
    SupportMemory.from_latents(latents, captions).require_text_tower(TOWER)


def test_towers_without_a_digest_are_told_apart_by_their_names(latents, captions):
    named = Fingerprint(name="hf:a", library="linmap", id="text_latents")
    memory = SupportMemory.from_latents(latents, captions, text_tower=named)
    memory.require_text_tower(named)
    with pytest.raises(MemoryMismatchError, match=r"text tower 'hf:a', and the model needs those of 'hf:b'"):
        memory.require_text_tower(Fingerprint(name="hf:b", library="linmap", id="text_latents"))


@pytest.mark.parametrize(
    ("latents", "captions", "match"),
    [
        (random(2, 0), ["one"], r"2 latents and 1 captions; give one caption for each latent, and at least one"),
        (random(0, 0), [], r"0 latents and 0 captions"),
        (random(2, 0), "ab", r"2 latents and 1 captions"),
        (torch.zeros(2, 4), ["a", "b"], r"Latent 0 is zero, so it has no direction \(1 more like it\)\. Leave it out"),
        (torch.tensor([[1.0], [float("nan")]]), ["a", "b"], r"Latent 1 holds NaN or infinity, so it has no direction"),
        (random(2, 0)[None, 0], ["a"], None),
        (random(2, 0)[:, :, None], ["a", "b"], r"Latents have the shape \(2, 32, 1\); expected \(rows, dim\)"),
        (torch.eye(2), ["a", None], r"Caption 1 is None; every caption is a text\. Leave it out"),
        (random(2, 0).numpy(), ["a", "b"], r"Latents are of type ndarray; give a tensor: torch\.tensor\(latents\)"),
        (torch.tensor(1.0), ["a"], r"Latents have the shape \(\); expected \(rows, dim\)"),
        (random(1, 0), ["\ud83d"], r"The caption '\\ud83d' holds half of a character"),
    ],
)
def test_what_is_no_memory_is_refused(latents, captions, match):
    if match is None:
        assert len(SupportMemory.from_latents(latents, captions)) == 1
        return
    with pytest.raises(SupportMemoryError, match=match):
        SupportMemory.from_latents(latents, captions)


def test_an_unknown_number_format_gets_a_suggestion(latents, captions):
    with pytest.raises(UnknownNameError, match=r"Unknown dtype 'flaot16'\. Did you mean 'float16'\?"):
        SupportMemory.from_latents(latents, captions, dtype="flaot16")


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda memory: memory.project(random(2, 0, dim=8)), r"shape \(2, 8\) for a memory of 32 channels"),
        (lambda memory: memory.project(random(2, 0).numpy()), r"Latents are of type ndarray; give a tensor"),
        (lambda memory: memory.nearest(random(1, 0)[0]), r"shape \(32,\) for a memory of 32 channels"),
        (lambda memory: memory.project(torch.zeros(1, 32)), r"Latent 0 is zero, so it has no direction"),
        (lambda memory: memory.project(random(1, 0), top_k=0), r"top_k is 0; give a number of rows above 0"),
        (lambda memory: memory.project(random(1, 0), 0.0), r"The temperature is 0\.0"),
        (lambda memory: memory.support(random(1, 0), k=0), r"0 rows cannot be given"),
        (lambda memory: memory.latents([500]), r"Rows 500 to 500 of a memory of 500 do not exist"),
        (lambda memory: memory.sample(501), r"501 of 500 captions cannot be drawn; ask for 1 to 500"),
    ],
)
def test_what_cannot_be_answered_says_what_would(memory, ask, match):
    with pytest.raises(SupportMemoryError, match=match):
        ask(memory)
