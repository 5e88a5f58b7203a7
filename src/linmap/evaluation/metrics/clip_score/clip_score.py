"""CLIPScore as an `evaluate` module; the score itself is `linmap.evaluation.clip_scores`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.clip_score import clip_scores, embedding_rows

_DESCRIPTION = """
CLIPScore measures how near a caption is to its photo in the space of a dual encoder: 2.5 max(cos, 0), in the x100 units
of papers. Embeddings come in, so no model is loaded; captions are embedded behind "A photo depicts ". Published numbers
are those of OpenAI's CLIP ViT-B/32; the score carries the name of the encoder that was used.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[list[float]]`): The embedding of one caption a photo (`linmap.evaluation.clip_prompts`).
    images (`list[list[float]]`): The embedding of each photo.
    encoder (`str`): The name of the dual encoder that made both.

Returns:
    `clip_score` (`float`): 0 to 250, the mean over the photos.
    `clip_score_per_image` (`list[float]`): The same for each photo.
    `clip_score_name` (`str`): `CLIPScore (encoder)`.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("clip_score"))
    >>> result = metric.compute(predictions=[[3.0, 4.0]], images=[[1.0, 0.0]], encoder="toy")
    >>> result["clip_score_name"], round(result["clip_score"], 3)
    ('CLIPScore (toy)', 150.0)
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
class ClipScore(evaluate.Metric):
    """CLIPScore."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float32")),
                    "images": datasets.Sequence(datasets.Value("float32")),
                }
            ),
            reference_urls=["https://arxiv.org/abs/2104.08718"],
        )

    def _compute(self, predictions: list[list[float]], images: list[list[float]], encoder: str) -> dict[str, Any]:
        score = clip_scores(
            embedding_rows(images, "images"), embedding_rows(predictions, "predictions"), encoder=encoder
        )
        return {
            "clip_score": score.value,
            "clip_score_per_image": list(score.per_image),
            "clip_score_name": score.name,
        }
