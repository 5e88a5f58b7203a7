"""VQA accuracy as an `evaluate` module; the score itself is `linmap.evaluation.vqa_accuracy`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.vqa_accuracy import vqa_accuracy

_DESCRIPTION = """
VQA accuracy measures answers against those of ten people: an answer that three of any nine gave is right, one that two
gave two thirds, averaged over all subsets of nine. Answers are compared in the form of the official evaluation: lower
case, numbers as digits, without articles and punctuation.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]`): One answer a question.
    references (`list[list[str]]`): What people answered, in VQAv2 ten; at least four.

Returns:
    `vqa_accuracy` (`float`): 0 to 100.
    `vqa_accuracy_per_question` (`list[float]`): The same for each question.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("vqa_accuracy"))
    >>> result = metric.compute(predictions=["Two."], references=[["2"] * 3 + ["3"] * 7])
    >>> round(result["vqa_accuracy"], 6)
    90.0
"""

_CITATION = """
@inproceedings{antol2015vqa,
  title = {{VQA}: Visual Question Answering},
  author = {Antol, Stanislaw and Agrawal, Aishwarya and Lu, Jiasen and Mitchell, Margaret and Batra, Dhruv and
    Zitnick, C. Lawrence and Parikh, Devi},
  booktitle = {Proceedings of the IEEE International Conference on Computer Vision},
  year = {2015}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class VqaAccuracy(evaluate.Metric):
    """VQA accuracy."""

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
            reference_urls=["https://arxiv.org/abs/1505.00468", "https://visualqa.org/evaluation"],
        )

    def _compute(self, predictions: list[str], references: list[list[str]]) -> dict[str, Any]:
        score = vqa_accuracy(predictions, references)
        return {"vqa_accuracy": score.value, "vqa_accuracy_per_question": list(score.per_question)}
