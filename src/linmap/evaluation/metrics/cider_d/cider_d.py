"""CIDEr-D as an `evaluate` module; the score itself is `linmap.evaluation.cider_d`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from linmap.evaluation.cider import cider_d

_DESCRIPTION = """
CIDEr-D measures how much a caption says what most people say about the photo: the cosine of tf-idf weighted 1- to
4-grams, with clipped counts and a Gaussian penalty on the difference in length, averaged over the references and
the n. It is pycocoevalcap's, in the x100 units of papers. Document frequencies come from the references that are given.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]`): One caption a photo.
    references (`list[list[str]]`): What people wrote about each photo.
    tokenizer (`str`): `"ptb"` (default; Stanford's, needs Java) or `"simple"` (needs nothing; not comparable with
        published scores).

Returns:
    `cider_d` (`float`): 0 to 1000.
    `cider_d_per_image` (`list[float]`): The same for each photo.
    `cider_d_tokenizer` (`str`): The tokenizer.
    `cider_d_comparable` (`bool`): Whether published scores are made the same way.

Examples:
    >>> import evaluate
    >>> from linmap.evaluation import metric_path
    >>> metric = evaluate.load(metric_path("cider_d"))
    >>> references = [["a dog runs on grass", "a brown dog"], ["two men ride bicycles", "men on bicycles"]]
    >>> result = metric.compute(predictions=["a dog", "two men"], references=references, tokenizer="simple")
    >>> round(result["cider_d"], 1), result["cider_d_comparable"]
    (223.7, False)
"""

_CITATION = """
@inproceedings{vedantam2015cider,
  title = {{CIDEr}: Consensus-based Image Description Evaluation},
  author = {Vedantam, Ramakrishna and Zitnick, C. Lawrence and Parikh, Devi},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2015}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class CiderD(evaluate.Metric):
    """CIDEr-D."""

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
            reference_urls=["https://arxiv.org/abs/1411.5726", "https://github.com/salaniz/pycocoevalcap"],
        )

    def _compute(self, predictions: list[str], references: list[list[str]], tokenizer: str = "ptb") -> dict[str, Any]:
        score = cider_d(predictions, references, tokenizer=tokenizer)
        return {
            "cider_d": score.value,
            "cider_d_per_image": list(score.per_image),
            "cider_d_tokenizer": score.tokenizer,
            "cider_d_comparable": score.comparable,
        }
