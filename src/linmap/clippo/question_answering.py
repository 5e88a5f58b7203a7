"""Questions about photos, drawn above them and answered by choosing (arXiv 2212.08045)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor
from transformers import AutoModelForVisualQuestionAnswering
from transformers.modeling_outputs import SequenceClassifierOutput

from linmap.clippo.classification import ClippoClassifier
from linmap.clippo.configuration import ClippoConfig
from linmap.errors import ConfigurationError

__all__ = ["ClippoForQuestionAnswering", "answer_labels"]


def answer_labels(answers: Sequence[str]) -> dict[str, Any]:
    """What `from_pretrained` takes to answer out of `answers`: `id2label` and `label2id`.

    Example:
        >>> answer_labels(["2", "table"])
        {'id2label': {0: '2', 1: 'table'}, 'label2id': {'2': 0, 'table': 1}}
    """
    return {"id2label": dict(enumerate(answers)), "label2id": {answer: place for place, answer in enumerate(answers)}}


class ClippoForQuestionAnswering(ClippoClassifier):
    """Answers to questions about photos out of a closed set, read from one picture with both in it.

    `ClippoForQuestionAnswering.from_pretrained(folder, **answer_labels(answers))` keeps the tower of a CLIPPO model, or
    of any it is compared with, and starts the linear layer. The answers stand in `config.id2label`.

    Args:
        config: With `id2label`, the answers by number.

    Example:
        >>> config = ClippoConfig(
        ...     image_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
        ... )
        >>> config.id2label = {0: "2", 1: "table"}
        >>> model = ClippoForQuestionAnswering(config).eval()
        >>> output = model(pixel_values=torch.zeros(1, 3, 64, 64), labels=torch.tensor([1]))
        >>> model.answers_of(output.logits), round(output.loss.item(), 4)
        (['2'], 0.6931)
    """

    card_kind = "clippo_question_answering"

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> SequenceClassifierOutput:
        """Answers questions.

        Args:
            pixel_values: (questions, 3, image_size, image_size) in [-1, 1], from `processor(images=...,
                questions=...)`.
            labels: (questions,) int64, the number of the right answer; or (questions, answers) float32 in [0, 1], what
                each answer is worth, where several people answered (VQAv2).

        Returns:
            `logits` (questions, answers) float32, and with labels the `loss`: cross entropy over the answers; of soft
            labels the binary cross entropies, summed over the answers, mean over the questions.

        Raises:
            ConfigurationError: Pixels or labels of another shape.
        """
        logits = self._classified(self.clippo.encode_images(pixel_values))
        return SequenceClassifierOutput(loss=None if labels is None else _loss(logits, labels), logits=logits)

    def answers_of(self, logits: Tensor) -> list[str]:
        """The likeliest answer to each question.

        Args:
            logits: (questions, answers).
        """
        names: Any = self.config.id2label
        return [names[int(place)] for place in logits.argmax(dim=-1)]


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    if labels.ndim == 1 and not labels.is_floating_point():
        return F.cross_entropy(logits, labels)
    if labels.shape != logits.shape:
        raise ConfigurationError(
            f"labels must be the numbers of the right answers, whole and of shape ({len(logits)},), or what every "
            f"answer is worth, of shape {tuple(logits.shape)}; found {labels.dtype} of shape {tuple(labels.shape)}."
        )
    return F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="sum") / len(logits)


AutoModelForVisualQuestionAnswering.register(ClippoConfig, ClippoForQuestionAnswering, exist_ok=True)
