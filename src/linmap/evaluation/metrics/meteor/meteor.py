"""METEOR as an `evaluate` module; the score itself is `linmap.evaluation.meteor`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.meteor import meteor

_DESCRIPTION = """
METEOR measures the words, stems, synonyms and paraphrases that a caption shares with what people wrote about the photo,
and in how few pieces. It is METEOR 1.5 for English by its own Java program, which pycocoevalcap ships, in the x100
units of papers. Without Java it is an error that says what to install.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]`): One caption a photo.
    references (`list[list[str]]`): What people wrote about each photo.

Returns:
    `meteor` (`float`): 0 to 100, of the statistics of all photos together.
    `meteor_per_image` (`list[float]`): Of each photo alone; their mean is not `meteor`.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("meteor"))
    >>> references = [["a dog runs"], ["a brown dog runs", "grass"]]
    >>> result = metric.compute(predictions=["a dog runs", "a dog runs"], references=references)  # needs Java
    >>> round(result["meteor"], 1), [round(value, 1) for value in result["meteor_per_image"]]
    (43.8, [100.0, 32.7])
"""

_CITATION = """
@inproceedings{denkowski2014meteor,
  title = {Meteor Universal: Language Specific Translation Evaluation for Any Target Language},
  author = {Denkowski, Michael and Lavie, Alon},
  booktitle = {Proceedings of the EACL 2014 Workshop on Statistical Machine Translation},
  year = {2014}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Meteor(evaluate.Metric):
    """METEOR."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
            reference_urls=["https://aclanthology.org/W14-3348", "https://github.com/salaniz/pycocoevalcap"],
        )

    def _compute(self, predictions: list[str], references: list[list[str]]) -> dict[str, Any]:
        score = meteor(predictions, references)
        return {"meteor": score.value, "meteor_per_image": list(score.per_image)}
