"""ROUGE-L as an `evaluate` module; the score itself is `linmap.evaluation.rouge_l`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.rouge_l import rouge_l

_DESCRIPTION = """
ROUGE-L measures the longest sequence of words, gaps allowed, that a caption shares with what people wrote about the
photo: best precision and best recall over the references, joined with beta 1.2. It is pycocoevalcap's, in the x100
units of papers.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]`): One caption a photo.
    references (`list[list[str]]`): What people wrote about each photo.
    tokenizer (`str`): `"ptb"` (default; Stanford's, needs Java) or `"simple"` (needs nothing; not comparable with
        published scores).

Returns:
    `rouge_l` (`float`): 0 to 100, the mean over the photos.
    `rouge_l_per_image` (`list[float]`): The same for each photo.
    `rouge_l_tokenizer` (`str`): The tokenizer.
    `rouge_l_comparable` (`bool`): Whether published scores are made the same way.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("rouge_l"))
    >>> result = metric.compute(predictions=["a dog sleeps"], references=[["a brown dog runs"]], tokenizer="simple")
    >>> round(result["rouge_l"], 1), result["rouge_l_comparable"]
    (55.7, False)
"""

_CITATION = """
@inproceedings{lin2004rouge,
  title = {{ROUGE}: A Package for Automatic Evaluation of Summaries},
  author = {Lin, Chin-Yew},
  booktitle = {Text Summarization Branches Out},
  year = {2004}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class RougeL(evaluate.Metric):
    """ROUGE-L."""

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
            reference_urls=["https://aclanthology.org/W04-1013", "https://github.com/salaniz/pycocoevalcap"],
        )

    def _compute(self, predictions: list[str], references: list[list[str]], tokenizer: str = "ptb") -> dict[str, Any]:
        score = rouge_l(predictions, references, tokenizer=tokenizer)
        return {
            "rouge_l": score.value,
            "rouge_l_per_image": list(score.per_image),
            "rouge_l_tokenizer": score.tokenizer,
            "rouge_l_comparable": score.comparable,
        }
