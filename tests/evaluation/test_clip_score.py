"""CLIPScore and RefCLIPScore: the paper's equations, worked out otherwise; laws; errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from linmap.errors import EvaluationError
from linmap.evaluation import CLIP_PROMPT, clip_prompts, clip_scores, ref_clip_scores


def rows(count, seed, width=8):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


IMAGES = rows(6, 0)
TEXTS = rows(6, 1) + torch.tensor([[1.0], [1], [1], [1], [-1], [-1]]) * IMAGES  # four near their photos, two far away
REFERENCES = [rows(count, 10 + count) for count in (1, 2, 3, 4, 5, 6)]


def cosine(a, b):
    return float(np.dot(a, b) / np.sqrt(np.dot(a, a)) / np.sqrt(np.dot(b, b)))


def test_clip_score_is_equation_1_of_the_paper():
    expected = [250 * max(cosine(c, v), 0) for c, v in zip(TEXTS.numpy(), IMAGES.numpy(), strict=True)]
    score = clip_scores(IMAGES, TEXTS, encoder="toy")
    assert score.per_image == pytest.approx(expected, abs=1e-4)
    assert score.value == pytest.approx(sum(expected) / 6, abs=1e-4)
    assert min(expected) == 0 < max(expected)


def test_ref_clip_score_is_equation_2_of_the_paper():
    expected = []
    for c, v, references in zip(TEXTS.numpy(), IMAGES.numpy(), REFERENCES, strict=True):
        clip_s = 2.5 * max(cosine(c, v), 0)
        nearest = max(max(cosine(c, r) for r in references.numpy()), 0)
        expected.append(100 * (2 / (1 / clip_s + 1 / nearest) if clip_s and nearest else 0))
    score = ref_clip_scores(IMAGES, TEXTS, REFERENCES, encoder="toy")
    assert score.per_image == pytest.approx(expected, abs=1e-4)
    assert sum(value > 0 for value in expected) >= 2


def test_a_caption_that_is_its_photo_and_a_reference_scores_the_most_there_is():
    assert clip_scores(IMAGES, IMAGES, encoder="toy").value == pytest.approx(250)
    both = ref_clip_scores(IMAGES, IMAGES, [row.unsqueeze(0) for row in IMAGES], encoder="toy")
    assert both.value == pytest.approx(100 * 2 * 2.5 / 3.5)


def test_lengths_of_embeddings_and_half_precision_do_not_matter():
    plain = ref_clip_scores(IMAGES, TEXTS, REFERENCES, encoder="toy")
    longer = ref_clip_scores(3 * IMAGES, 1e-3 * TEXTS, [1e4 * one for one in REFERENCES], encoder="toy")
    assert longer.per_image == pytest.approx(plain.per_image, abs=1e-4)
    half = clip_scores(IMAGES.half(), TEXTS.half(), encoder="toy")
    assert half.per_image == pytest.approx(clip_scores(IMAGES, TEXTS, encoder="toy").per_image, abs=0.3)


def test_the_order_of_the_references_does_not_matter():
    turned = ref_clip_scores(IMAGES, TEXTS, [one.flip(0) for one in REFERENCES], encoder="toy")
    assert turned.per_image == ref_clip_scores(IMAGES, TEXTS, REFERENCES, encoder="toy").per_image


def test_a_score_carries_the_name_of_its_encoder():
    assert clip_scores(IMAGES, TEXTS, encoder="openai/ViT-B-32").name == "CLIPScore (openai/ViT-B-32)"
    score = ref_clip_scores(IMAGES, TEXTS, REFERENCES, encoder="toy")
    assert score.name == "RefCLIPScore (toy)"
    assert str(score) == f"{score.value:.1f} (toy)"


def test_captions_are_embedded_behind_the_prompt_of_the_paper():
    assert CLIP_PROMPT == "A photo depicts "
    assert clip_prompts(["a dog", ""]) == ["A photo depicts a dog", "A photo depicts "]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda: clip_scores(IMAGES, TEXTS[:5], encoder="toy"), r"\(6, 8\), the text embeddings \(5, 8\)"),
        (lambda: clip_scores(IMAGES, rows(6, 1, 9), encoder="toy"), "from one dual encoder"),
        (lambda: clip_scores(IMAGES[:0], TEXTS[:0], encoder="toy"), "at least one each"),
        (lambda: clip_scores(IMAGES, 0 * TEXTS, encoder="toy"), "6 of 6 text embeddings are zero or not finite"),
        (lambda: clip_scores(math.nan * IMAGES, TEXTS, encoder="toy"), "6 of 6 image embeddings are zero"),
        (lambda: clip_scores(IMAGES, TEXTS, encoder=" "), "CLIPScore means nothing without the dual encoder"),
        (
            lambda: ref_clip_scores(IMAGES, TEXTS, REFERENCES[:5], encoder="toy"),
            "references of 5 photos for 6 captions",
        ),
        (
            lambda: ref_clip_scores(IMAGES, TEXTS, [*REFERENCES[:5], TEXTS[:0]], encoder="toy"),
            "Photo 5 has no reference",
        ),
        (
            lambda: ref_clip_scores(IMAGES, TEXTS, [rows(1, 2, 9)] * 6, encoder="toy"),
            r"Photo 0's references are \(1, 9\)",
        ),
        (
            lambda: ref_clip_scores(IMAGES, TEXTS, [*REFERENCES[:5], TEXTS[0]], encoder="toy"),
            r"Photo 5's references are \(8,\)",
        ),
    ],
)
def test_what_cannot_be_scored_is_an_error(run, words):
    with pytest.raises(EvaluationError, match=words):
        run()
