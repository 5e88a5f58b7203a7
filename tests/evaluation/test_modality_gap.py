"""The modality gap: laws of distance, cosines and separability."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from linmap.errors import EvaluationError
from linmap.evaluation import modality_gap
from linmap.evaluation.modality_gap import paired, project

OWNERS = torch.arange(30).repeat_interleave(2)


@pytest.fixture(scope="module")
def space():
    draw = torch.Generator().manual_seed(0)
    images, texts = torch.randn(30, 6, generator=draw), torch.randn(60, 6, generator=draw)
    return images + 1, images[OWNERS] + 0.5 * texts - 1, OWNERS


def test_the_same_embeddings_have_no_gap(space):
    images, _, _ = space
    gap = modality_gap(images, images)
    assert gap.distance == pytest.approx(0, abs=1e-12)
    assert gap.matched_cosine == pytest.approx(1)
    assert gap.separability == 50


def test_the_vector_is_between_the_means_of_the_normalised_embeddings(space):
    images, texts, _ = space
    gap = modality_gap(*space)
    vector = normalize(images.double()).mean(dim=0) - normalize(texts.double()).mean(dim=0)
    torch.testing.assert_close(gap.vector, vector)
    assert gap.distance == pytest.approx(vector.norm().item())


def test_mean_cosines_are_those_of_all_pairs(space):
    images, texts, owners = space
    cosines = normalize(texts.double()) @ normalize(images.double()).T
    matched = torch.zeros_like(cosines, dtype=torch.bool)
    matched[torch.arange(60), owners] = True
    gap = modality_gap(*space)
    assert gap.matched_cosine == pytest.approx(cosines[matched].mean().item())
    assert gap.mismatched_cosine == pytest.approx(cosines[~matched].mean().item())
    assert gap.matched_cosine > gap.mismatched_cosine


def test_opposite_modalities_are_as_far_apart_as_can_be():
    ahead = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    gap = modality_gap(ahead, -ahead)
    assert (gap.distance, gap.matched_cosine, gap.mismatched_cosine, gap.separability) == (2, -1, -1, 100)


def test_rotation_length_and_order_change_nothing(space):
    images, texts, owners = space
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).double()).Q
    order = torch.randperm(60)
    turned = modality_gap(3 * images.double() @ rotation, texts.double()[order] @ rotation, owners[order])
    gap = modality_gap(*space)
    for name in ("distance", "matched_cosine", "mismatched_cosine", "separability"):
        assert getattr(turned, name) == pytest.approx(getattr(gap, name))


def test_images_and_texts_may_change_places():
    draw = torch.Generator().manual_seed(0)
    images, texts = torch.randn(30, 6, generator=draw) + 1, torch.randn(30, 6, generator=draw)
    one, other = modality_gap(images, texts), modality_gap(texts, images)
    torch.testing.assert_close(one.vector, -other.vector)
    assert one.distance == pytest.approx(other.distance)
    assert one.separability == other.separability


def test_one_cloud_is_not_separable_and_two_are():
    draw = torch.Generator().manual_seed(0)
    images, texts = torch.randn(2000, 6, generator=draw), torch.randn(2000, 6, generator=draw)
    shift = torch.tensor([9.0, 0, 0, 0, 0, 0])
    assert modality_gap(images, texts).separability == pytest.approx(50, abs=4)
    assert modality_gap(images + shift, texts - shift).separability == 100


def test_the_plane_holds_the_most_of_the_variance(space):
    images, texts, _ = paired(*space)
    photos, words = project(images, texts)
    flat, both = torch.cat([photos, words]), torch.cat([images, texts])
    values = torch.linalg.svdvals(both - both.mean(dim=0))
    torch.testing.assert_close(flat.norm(dim=0), values[:2])
    assert (photos.mean(dim=0) >= 0).all()


@pytest.mark.parametrize(
    ("images", "texts", "owners", "message"),
    [
        (torch.eye(3), torch.eye(2), None, "image embeddings are 3 wide and the text embeddings 2; a gap is within"),
        (torch.eye(3), torch.eye(3)[:2], None, "3 photos and 2 texts do not pair row for row; give image_of_text"),
        (torch.eye(3), torch.eye(3)[:2], [0, 3], "run from 0 to 3; expected 0 to 2"),
        (torch.eye(2)[:1], torch.eye(2)[:1], None, "One photo has no other to be mismatched with"),
        (torch.zeros(2, 2), torch.eye(2), None, "2 of 2 image embeddings are zero or not finite"),
    ],
)
def test_what_has_no_gap_is_an_error(images, texts, owners, message):
    with pytest.raises(EvaluationError, match=message):
        modality_gap(images, texts, owners)


def test_one_dimension_has_no_picture():
    with pytest.raises(EvaluationError, match="Embeddings of one dimension have no 2-d picture"):
        project(torch.ones(2, 1), torch.ones(2, 1))
