"""Retrieval: laws of recall, cases counted by hand, and agreement with clip-benchmark where nothing ties."""

from __future__ import annotations

import pytest
import torch

from linmap.errors import EvaluationError
from linmap.evaluation import count_duplicate_captions, fivefold_recall, retrieval_recall

OWNERS = torch.arange(40).repeat_interleave(5)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def space():
    """40 photos with 5 captions each, near their photo but not always nearest."""
    images = draw(40, 16)
    return images, images[OWNERS] + 1.2 * draw(200, 16, seed=1), OWNERS


def brute_force(images, texts, owners, k):
    """Both recalls by sorting, one query at a time; right where nothing ties."""
    cosines = torch.nn.functional.normalize(texts.double()) @ torch.nn.functional.normalize(images.double()).T
    to_image = [int(owners[row]) in line.argsort(descending=True)[:k].tolist() for row, line in enumerate(cosines)]
    to_text = [row in owners[line.argsort(descending=True)[:k]].tolist() for row, line in enumerate(cosines.T)]
    return 100 * sum(to_image) / len(to_image), 100 * sum(to_text) / len(to_text)


def test_embeddings_that_pair_perfectly_score_100():
    scores = retrieval_recall(torch.eye(40), torch.eye(40)[OWNERS], OWNERS)
    assert set(scores.text_to_image.values()) == set(scores.image_to_text.values()) == {100.0}
    assert scores.median_rank_text_to_image == scores.median_rank_image_to_text == 1


def test_recall_is_what_sorting_finds(space):
    scores = retrieval_recall(*space, ks=(1, 3, 10))
    for k in (1, 3, 10):
        found = scores.text_to_image[f"R@{k}"], scores.image_to_text[f"R@{k}"]
        assert found == pytest.approx(brute_force(*space, k))
    assert 10 < scores.text_to_image["R@1"] < 90


def test_recall_is_that_of_clip_benchmark(space):
    evaluate = pytest.importorskip("clip_benchmark.metrics.zeroshot_retrieval").evaluate
    images, texts, _ = space

    class Embedded:
        encode_image = encode_text = staticmethod(lambda embeddings: embeddings)

    batches = [(images[row : row + 8], texts.unflatten(0, (40, 5))[row : row + 8]) for row in range(0, 40, 8)]
    theirs = evaluate(Embedded(), batches, torch.stack, "cpu", amp=False, recall_k_list=[1, 5, 10])
    scores = retrieval_recall(*space)
    for k in (1, 5, 10):
        assert scores.text_to_image[f"R@{k}"] == pytest.approx(100 * theirs[f"image_retrieval_recall@{k}"])
        assert scores.image_to_text[f"R@{k}"] == pytest.approx(100 * theirs[f"text_retrieval_recall@{k}"])


@pytest.mark.parametrize("chunk_size", [1, 7, 199, 200, 10_000])
def test_chunks_change_nothing(space, chunk_size):
    assert retrieval_recall(*space, chunk_size=chunk_size) == retrieval_recall(*space)


def test_the_order_of_photos_and_captions_changes_nothing(space):
    images, texts, owners = space
    photos, words = torch.randperm(40), torch.randperm(200)
    assert retrieval_recall(images[photos], texts[words], photos.argsort()[owners[words]]) == retrieval_recall(*space)


def test_length_number_format_and_gradients_change_nothing(space):
    images, texts, owners = space
    scaled = images * torch.linspace(0.1, 9, 40)[:, None]
    assert retrieval_recall(scaled.double().requires_grad_(), 3 * texts, owners.tolist()) == retrieval_recall(*space)


def test_recall_grows_with_k_and_reaches_100(space):
    scores = retrieval_recall(*space, ks=(1, 2, 5, 20, 40, 200))
    for recalls in (scores.text_to_image, scores.image_to_text):
        assert list(recalls.values()) == sorted(recalls.values())
        assert recalls["R@200"] == 100
    assert scores.text_to_image["R@40"] == scores.chance_text_to_image["R@40"] == 100


@pytest.mark.parametrize("chunk_size", [3, 1024])
@pytest.mark.parametrize("vector", [torch.ones(64), draw(64)])
def test_an_encoder_that_gives_everything_the_same_embedding_scores_nothing(vector, chunk_size):
    scores = retrieval_recall(vector.repeat(40, 1), vector.repeat(200, 1), OWNERS, chunk_size=chunk_size)
    assert set(scores.text_to_image.values()) == set(scores.image_to_text.values()) == {0.0}
    assert (scores.median_rank_text_to_image, scores.median_rank_image_to_text) == (40, 196)


def test_a_tie_counts_against_the_model():
    images = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    scores = retrieval_recall(images, images, [0, 1, 2], ks=(1, 2))
    assert scores.text_to_image == scores.image_to_text == {"R@1": pytest.approx(100 / 3), "R@2": 100.0}


def test_a_photos_own_captions_do_not_stand_in_each_others_way():
    scores = retrieval_recall(torch.eye(2), torch.eye(2)[[0, 0, 0, 1]], [0, 0, 0, 1], ks=(1,))
    assert scores.image_to_text == {"R@1": 100.0}


def test_one_caption_of_five_is_enough_for_a_photo():
    texts = torch.eye(40)[OWNERS].clone()
    texts[1:5] = -texts[1:5]
    scores = retrieval_recall(torch.eye(40), texts, OWNERS, ks=(1,))
    assert scores.image_to_text["R@1"] == 100
    assert scores.text_to_image["R@1"] == pytest.approx(98)


def test_random_embeddings_score_about_chance():
    owners = torch.arange(400).repeat_interleave(5)
    scores = retrieval_recall(draw(400, 64), draw(2000, 64, seed=1), owners, ks=(10, 40))
    for k in ("R@10", "R@40"):
        assert scores.text_to_image[k] == pytest.approx(scores.chance_text_to_image[k], abs=2)
        assert scores.image_to_text[k] == pytest.approx(scores.chance_image_to_text[k], abs=4)


def test_chance_is_counted_out_for_photos_with_several_captions():
    scores = retrieval_recall(torch.eye(2), torch.eye(2)[[0, 0, 1]], [0, 0, 1], ks=(1, 2, 3, 9))
    assert scores.chance_text_to_image == {"R@1": 50, "R@2": 100, "R@3": 100, "R@9": 100}
    # of three captions two are the first photo's: 2/3 and 1/3 to draw one first, 1 and 2/3 among two
    assert list(scores.chance_image_to_text.values()) == pytest.approx([50, 250 / 3, 100, 100])


def test_the_fivefold_protocol_is_the_mean_over_runs_of_photos(space):
    images, texts, _ = space
    folds = [
        retrieval_recall(images[8 * fold : 8 * fold + 8], texts[40 * fold : 40 * fold + 40], OWNERS[:40])
        for fold in range(5)
    ]
    scores = fivefold_recall(*space)
    assert scores.text_to_image["R@1"] == pytest.approx(sum(fold.text_to_image["R@1"] for fold in folds) / 5)
    assert scores.image_to_text["R@5"] == pytest.approx(sum(fold.image_to_text["R@5"] for fold in folds) / 5)
    assert scores.chance_text_to_image["R@1"] == 12.5
    assert (scores.images, scores.texts, scores.folds) == (40, 200, 5)


def test_the_fivefold_protocol_does_not_need_captions_in_order(space):
    images, texts, owners = space
    order = torch.randperm(200)
    assert fivefold_recall(images, texts[order], owners[order]) == fivefold_recall(*space)


def test_one_fold_is_the_whole(space):
    assert fivefold_recall(*space, folds=1) == retrieval_recall(*space)


def test_folds_that_do_not_divide_the_photos_are_an_error(space):
    with pytest.raises(EvaluationError, match="40 photos do not divide into 7 equal parts; give another number"):
        fivefold_recall(*space, folds=7)


def test_parts_of_one_photo_are_an_error(space):
    with pytest.raises(EvaluationError, match="40 photos in 40 parts are 1 each, with nothing to tell it from; give"):
        fivefold_recall(*space, folds=40)


def test_what_float32_rounds_by_between_batches_is_a_tie():
    images = torch.nn.functional.normalize(draw(2, 64))
    images[1] = images[0]
    images[0, 0] += 1e-7  # the same photo twice, embedded in another batch
    for left, right in ((images, images), (images.double(), images)):
        assert retrieval_recall(left, right, [0, 1], ks=(1,)).text_to_image == {"R@1": 0.0}
    apart = torch.tensor([[1.0, 0.0], [1.0, 1e-4]], dtype=torch.float64)  # cosines differ by 5e-9
    assert retrieval_recall(apart, apart, [0, 1], ks=(1,)).text_to_image == {"R@1": 100.0}


def test_captions_that_a_photo_has_twice_are_counted_and_warned_of(caplog):
    captions, owners = ["A dog runs", "a dog", "a  dog runs", "a dog runs"], [0, 1, 0, 0]
    scores = retrieval_recall(torch.eye(2), torch.eye(2)[owners], owners, captions=captions)
    assert (scores.repeated, scores.duplicates) == (2, 0)
    assert "2 of 4 captions stand under the same photo before, such as 'a  dog runs'; they weigh" in caplog.text
    assert retrieval_recall(torch.eye(2), torch.eye(2)[owners], owners).repeated is None
    assert fivefold_recall(torch.eye(2), torch.eye(2)[owners], owners, folds=1, captions=captions).repeated == 2


def test_duplicate_captions_are_counted_and_warned_of(caplog):
    captions = ["A dog runs", "a dog", "two men", "a  dog runs ", "a dog", "a cat"]
    owners = [0, 0, 1, 1, 2, 2]
    texts = torch.eye(3)[owners]
    assert retrieval_recall(torch.eye(3), texts, owners).duplicates is None
    assert retrieval_recall(torch.eye(3), texts, owners, captions=captions).duplicates == 4
    assert "4 of 6 captions stand under several photos, such as 'A dog runs'; no model can" in caplog.text


def test_a_photo_may_have_the_same_caption_twice(caplog):
    assert count_duplicate_captions(["a dog", "a dog", "a cat"], [0, 0, 1]) == 0
    assert not caplog.records


NAN = torch.tensor([[1.0, 0.0], [float("nan"), 1.0]])


@pytest.mark.parametrize(
    ("images", "texts", "owners", "message"),
    [
        (torch.eye(3), torch.eye(2), [0, 1], r"\(3, 3\) and the text embeddings \(2, 2\); expected \(images, dim\)"),
        (torch.eye(2), torch.eye(2), [0, 2], "photos of the texts run from 0 to 2; expected 0 to 1"),
        (torch.eye(2), torch.eye(2), [0], r"photos of the texts are of shape \(1,\); expected \(2,\)"),
        (torch.eye(2), torch.eye(2), [0.0, 1.0], "photos of the texts are torch.float32; give whole numbers"),
        (torch.eye(3), torch.eye(3), [0, 2, 2], r"1 of 3 photos have no caption \(rows 1\); take them out"),
        (torch.zeros(2, 2), torch.eye(2), [0, 1], "2 of 2 image embeddings are zero or not finite, the first in row 0"),
        (torch.eye(2), NAN, [0, 1], "1 of 2 text embeddings are zero or not finite, the first in row 1"),
        (torch.eye(2)[:0], torch.eye(2)[:0], [], r"image embeddings are \(0, 2\); expected \(rows, dimensions\)"),
    ],
)
def test_what_cannot_be_ranked_is_an_error(images, texts, owners, message):
    with pytest.raises(EvaluationError, match=message):
        retrieval_recall(images, texts, owners)


@pytest.mark.parametrize("options", [{"ks": ()}, {"ks": (0,)}, {"chunk_size": 0}])
def test_numbers_out_of_range_are_an_error(space, options):
    with pytest.raises(EvaluationError, match="must be at least 1"):
        retrieval_recall(*space, **options)


def test_captions_that_do_not_match_the_embeddings_are_an_error(space):
    with pytest.raises(EvaluationError, match="1 captions for 200 text embeddings; give one each"):
        retrieval_recall(*space, captions=["a dog"])
