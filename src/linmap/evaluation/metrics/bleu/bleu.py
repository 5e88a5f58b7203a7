"""BLEU-1 to BLEU-4 as an `evaluate` module; the score itself is `linmap.evaluation.bleu`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.bleu import bleu

_DESCRIPTION = """
BLEU measures how many of a caption's words, and sequences of up to four of them, people used of the same photo. It is
pycocoevalcap's, of the whole set, with the length of the closest reference, in the x100 units of papers.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]`): One caption a photo.
    references (`list[list[str]]`): What people wrote about each photo.
    tokenizer (`str`): `"ptb"` (default; Stanford's, needs Java) or `"simple"` (needs nothing; not comparable with
        published scores).

Returns:
    `bleu_1`, `bleu_2`, `bleu_3`, `bleu_4` (`float`): 0 to 100.
    `bleu_tokenizer` (`str`): The tokenizer.
    `bleu_comparable` (`bool`): Whether published scores are made the same way.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("bleu"))
    >>> references = [["a dog runs on grass", "a brown dog"], ["two men ride bicycles", "men on bicycles"]]
    >>> result = metric.compute(predictions=["a dog runs", "two men"], references=references, tokenizer="simple")
    >>> round(result["bleu_1"], 1), round(result["bleu_2"], 1), result["bleu_comparable"]
    (81.9, 81.9, False)
"""

_CITATION = """
@inproceedings{papineni2002bleu,
  title = {{BLEU}: a Method for Automatic Evaluation of Machine Translation},
  author = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
  booktitle = {Proceedings of the 40th Annual Meeting of the Association for Computational Linguistics},
  year = {2002}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Bleu(evaluate.Metric):
    """BLEU-1 to BLEU-4."""

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
            reference_urls=["https://aclanthology.org/P02-1040", "https://github.com/salaniz/pycocoevalcap"],
        )

    def _compute(self, predictions: list[str], references: list[list[str]], tokenizer: str = "ptb") -> dict[str, Any]:
        score = bleu(predictions, references, tokenizer=tokenizer)
        return {
            **{f"bleu_{n}": value for n, value in enumerate(score.values, start=1)},
            "bleu_tokenizer": score.tokenizer,
            "bleu_comparable": score.comparable,
        }
