"""RefCLIPScore as an `evaluate` module; the score itself is `linmap.evaluation.ref_clip_scores`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.clip_score import embedding_rows, ref_clip_scores

_DESCRIPTION = """
RefCLIPScore measures how near a caption is to its photo and to what people wrote about it, in the space of a dual
encoder: the harmonic mean of its CLIPScore and of the largest cosine to a reference, in the x100 units of papers.
Embeddings come in, so no model is loaded; captions and references are embedded behind "A photo depicts ".
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[list[float]]`): The embedding of one caption a photo (`linmap.evaluation.clip_prompts`).
    images (`list[list[float]]`): The embedding of each photo.
    references (`list[list[list[float]]]`): The embeddings of each photo's references.
    encoder (`str`): The name of the dual encoder that made all three.

Returns:
    `ref_clip_score` (`float`): 0 to 143, the mean over the photos.
    `ref_clip_score_per_image` (`list[float]`): The same for each photo.
    `ref_clip_score_name` (`str`): `RefCLIPScore (encoder)`.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("ref_clip_score"))
    >>> captions, photos, references = [[3.0, 4.0]], [[1.0, 0.0]], [[[0.0, 1.0], [-1.0, 0.0]]]
    >>> result = metric.compute(predictions=captions, images=photos, references=references, encoder="toy")
    >>> result["ref_clip_score_name"], round(result["ref_clip_score"], 2)
    ('RefCLIPScore (toy)', 104.35)
"""

_CITATION = """
@inproceedings{hessel2021clipscore,
  title = {{CLIPScore}: A Reference-free Evaluation Metric for Image Captioning},
  author = {Hessel, Jack and Holtzman, Ari and Forbes, Maxwell and Le Bras, Ronan and Choi, Yejin},
  booktitle = {Proceedings of the 2021 Conference on Empirical Methods in Natural Language Processing},
  year = {2021}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class RefClipScore(evaluate.Metric):
    """RefCLIPScore."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float32")),
                    "images": datasets.Sequence(datasets.Value("float32")),
                    "references": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
                }
            ),
            reference_urls=["https://arxiv.org/abs/2104.08718"],
        )

    def _compute(
        self,
        predictions: list[list[float]],
        images: list[list[float]],
        references: list[list[list[float]]],
        encoder: str,
    ) -> dict[str, Any]:
        score = ref_clip_scores(
            embedding_rows(images, "images"),
            embedding_rows(predictions, "predictions"),
            [embedding_rows(rows, "references") for rows in references],
            encoder=encoder,
        )
        return {
            "ref_clip_score": score.value,
            "ref_clip_score_per_image": list(score.per_image),
            "ref_clip_score_name": score.name,
        }
