"""WUPS as an `evaluate` module; the score itself is `linmap.evaluation.wups`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.wups import wups

_DESCRIPTION = """
WUPS measures answers to questions by how near their words are to the right ones in WordNet (Wu and Palmer's likeness,
times 0.1 below the threshold). An answer is a set of things, apart by commas. WordNet 3.0 is fetched once from the
Python package index.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]`): One answer a question.
    references (`list[str]` or `list[list[str]]`): Its right answer, or several, of which the nearest counts.
    threshold (`float`): 0.9 (default) and 0.0 are what papers report.

Returns:
    `wups` (`float`): 0 to 100.
    `wups_per_question` (`list[float]`): The same for each question.
    `wups_threshold` (`float`): The threshold, a part of the score's name.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("wups"))
    >>> result = metric.compute(predictions=["couch", "cat"], references=["sofa", "dog"], threshold=0.9)
    >>> [round(value, 1) for value in result["wups_per_question"]], round(result["wups"], 1)
    ([100.0, 8.6], 54.3)
"""

_CITATION = """
@inproceedings{malinowski2014multiworld,
  title = {A Multi-World Approach to Question Answering about Real-World Scenes based on Uncertain Input},
  author = {Malinowski, Mateusz and Fritz, Mario},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2014}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Wups(evaluate.Metric):
    """WUPS."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": datasets.Value("string"), "references": references})
                for references in (datasets.Sequence(datasets.Value("string")), datasets.Value("string"))
            ],
            reference_urls=["https://arxiv.org/abs/1410.0210", "https://wordnet.princeton.edu"],
        )

    def _compute(
        self, predictions: list[str], references: list[str] | list[list[str]], threshold: float = 0.9
    ) -> dict[str, Any]:
        score = wups(predictions, references, threshold)
        return {
            "wups": score.value,
            "wups_per_question": list(score.per_question),
            "wups_threshold": score.threshold,
        }
