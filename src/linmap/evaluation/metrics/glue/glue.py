"""The scores of GLUE as an `evaluate` module that loads offline; they are `linmap.evaluation.glue.glue_score`'s."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.errors import UnknownNameError
from linmap.evaluation.glue import GLUE_TASKS, glue_score

_DESCRIPTION = """
GLUE measures the reading of sentences by nine tasks: accuracy (sst2, mnli, qnli, rte, wnli), F1 and accuracy (mrpc,
qqp), the Matthews correlation (cola), and the Pearson and Spearman correlations (stsb), each times 100.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[int]`, for stsb `list[float]`): One a sentence or pair of them.
    references (likewise): What is right.

Returns:
    The task's scores by name (`float`), and `glue` (`float`), their mean.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("glue"), "mrpc")
    >>> result = metric.compute(predictions=[1, 0, 1, 1], references=[1, 0, 0, 1])
    >>> result
    {'f1': 80.0, 'accuracy': 75.0, 'glue': 77.5}
"""

_CITATION = """
@inproceedings{wang2018glue,
  title = {{GLUE}: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding},
  author = {Wang, Alex and Singh, Amanpreet and Michael, Julian and Hill, Felix and Levy, Omer and Bowman, Samuel},
  booktitle = {Proceedings of the EMNLP Workshop BlackboxNLP},
  year = {2018}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Glue(evaluate.Metric):
    """GLUE; the configuration is the task."""

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name not in (*GLUE_TASKS, "default"):  # so `evaluate` calls it where no task is named
            raise UnknownNameError("task of GLUE", self.config_name, GLUE_TASKS)
        kind = datasets.Value("float64" if self.config_name == "stsb" else "int64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": kind, "references": kind}),
            reference_urls=["https://arxiv.org/abs/1804.07461", "https://gluebenchmark.com"],
        )

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, Any]:
        score = glue_score(predictions, references, self.config_name)
        return {**score.by_name, "glue": score.value}
