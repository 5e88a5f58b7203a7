"""Sentences classified by the tower that reads them: GLUE by drawing one or two (arXiv 2212.08045)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from linmap.clippo.configuration import ClippoConfig
from linmap.clippo.modeling import ClippoModel
from linmap.clippo.pretrained import ClippoPreTrainedModel

__all__ = ["ClippoClassifier", "ClippoForSequenceClassification"]


class ClippoClassifier(ClippoPreTrainedModel):
    """A tower, and a linear layer in place of the head it was trained with.

    The layer reads the output of the attention pooling and starts at zero, as the original's does (its models/vit.py,
    `head_zeroinit`): fine-tuning begins with even odds. What the task does not read, head and temperature
    among it, is kept and does not learn.

    Args:
        config: Its `num_labels` are the classes, `classifier_dropout` is the dropout in front of the layer.
    """

    reads = "images"
    """What the task reads: `"images"` or `"texts"`."""
    starts_anew = ("classifier.",)

    def __init__(self, config: ClippoConfig) -> None:
        super().__init__(config)
        self.clippo = ClippoModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, int(config.num_labels or 0))
        self.post_init()
        self._freeze_unread()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is getattr(self, "classifier", None):
            init.zeros_(self.classifier.weight)

    def _freeze_unread(self) -> None:
        model = self.clippo
        unread: list[nn.Module | None] = [model.projection, model.text_projection]
        if self.reads == "images":
            unread += [model.text_tower, model.text_embedding, model.text_patch_embedding]
        elif model.text_tower is not None:
            unread.append(model.tower)
        elif model.text_embedding is not None or model.text_patch_embedding is not None:
            unread.append(model.tower.patch_embed)
            if model.text_embedding is not None and model.tower.pos_embed is not None:
                model.tower.pos_embed.requires_grad_(False)
        for part in unread:
            if part is not None:
                part.requires_grad_(False)
        model.logit_scale.requires_grad_(False)

    def _classified(self, features: Tensor) -> Tensor:
        """Features (rows, hidden_size) -> logits (rows, num_labels) float32."""
        return self.classifier(self.dropout(features)).float()


class ClippoForSequenceClassification(ClippoClassifier):
    """Classes of a sentence, or of a pair of them, that are drawn in one picture: GLUE without a tokenizer.

    `ClippoForSequenceClassification.from_pretrained(folder, num_labels=3)` keeps the tower of a CLIPPO model and starts
    the linear layer. Of a model that reads tokens (1T-CLIP, CLIP*) it is the tower that reads texts, and `input_ids`
    take the place of drawn sentences.

    Args:
        config: `num_labels`, `id2label` and `problem_type` (`"regression"`, `"single_label_classification"` or
            `"multi_label_classification"`) as in transformers.

    Example:
        >>> config = ClippoConfig(
        ...     image_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
        ... )
        >>> config.num_labels = 3
        >>> model = ClippoForSequenceClassification(config).eval()
        >>> output = model(text_pixel_values=torch.zeros(2, 3, 64, 64), labels=torch.tensor([0, 2]))
        >>> output.logits.shape, round(output.loss.item(), 4)
        (torch.Size([2, 3]), 1.0986)
    """

    main_input_name = "text_pixel_values"
    reads = "texts"
    card_kind = "clippo_sequence_classification"

    def forward(
        self,
        text_pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Classifies sentences.

        Args:
            text_pixel_values: (sentences, 3, image_size, image_size) in [-1, 1], from `processor(text=...,
                text_pair=...)`.
            input_ids: Of a model that reads tokens: (sentences, length) int64.
            attention_mask: Their mask.
            labels: (sentences,) int64; float32 for a regression; (sentences, num_labels) float32 for several labels.

        Returns:
            `logits` (sentences, num_labels) float32, and with labels the `loss`: cross entropy, mean square or binary
            cross entropy, as `config.problem_type` says or, where it says nothing, as labels and their number suggest.

        Raises:
            ConfigurationError: Pixels for a model that reads tokens, or the other way round, or of another size.
        """
        logits = self._classified(self.clippo.encode_texts(text_pixel_values, input_ids, attention_mask))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)


AutoModelForSequenceClassification.register(ClippoConfig, ClippoForSequenceClassification, exist_ok=True)
