"""The linear vision prefix for lmms-eval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lmms_eval.api.instance import GenerationResult, Instance
from torch import Tensor

from linmap import hub
from linmap.errors import EvaluationError
from linmap.lmms_eval.model import LinmapLmm
from linmap.lmms_eval.requests import cut, generation_settings
from linmap.prefix.captioning import MAX_NEW_TOKENS
from linmap.prefix.modeling import LinearVisionPrefixModel
from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["LinearVisionPrefixLmm"]

CONTEXT = "{context}"


class Scored(tuple, GenerationResult):
    """A loss in nats a token, and whether the continuation is what is greedy.

    It is a `GenerationResult` besides, whose `text` is the pair: lmms-eval 0.7.3 makes text of every other answer that
    is no text, and its tasks with choices then find no numbers.
    """


class LinearVisionPrefixLmm(LinmapLmm):
    """A linear prefix, as `lmms-eval --model linmap --model_args pretrained=FOLDER,batch_size=16` runs it.

    The model's own generation settings count where a task says nothing.

    Args:
        pretrained: Folder or Hub id; `default` is the bundled model.
        revision: Branch, tag or commit, of a Hub id.
        dtype: Number format of the language model; `auto`: its own.
        prompt: What the language model reads behind the photos, `{context}` being the task's text. A language model
            that follows no instructions wants `Q: {context} A:` for questions, and for captions `own`: the prompt it
            was trained with, and nothing of the task's text.
        blind: Shows no photo, and leaves its place out: the control that says what the texts give away.
        device: See `LinmapLmm`.
        batch_size: See there.

    Raises:
        EvaluationError: The model holds no image encoder, or an argument makes no sense.
        LinmapError: The model, or a frozen part of it, is not to be had.
    """

    def __init__(
        self,
        pretrained: str = "default",
        revision: str | None = None,
        dtype: str = "auto",
        prompt: str = CONTEXT,
        blind: bool = False,
        device: str | None = None,
        batch_size: int | str = 1,
        **unknown: Any,
    ) -> None:
        super().__init__(device, batch_size, **unknown)
        name = hub.default_model() if pretrained == "default" else pretrained
        self.processor = LinearVisionPrefixProcessor.from_pretrained(name, revision=revision)
        self.model = LinearVisionPrefixModel.from_pretrained(name, revision=revision, dtype=dtype).eval()
        if self.model.encoder is None:
            raise EvaluationError(
                f"{pretrained} holds no image encoder: it reads features, not photos. Name a model that has one."
            )
        self.model.to(self.device)
        self.prompt = self.processor.prompt if prompt == "own" else prompt
        self.blind = blind

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Answers of a task, each up to the first of its `until` texts."""
        return self._in_batches(requests, self._generated, "Answering", alike=True)

    def loglikelihood(self, requests: list[Instance]) -> list[Scored]:
        """For each continuation its mean negative log-likelihood in nats a token, and whether it is what is greedy.

        lmms-eval takes the lowest of several choices for the model's answer (`np.argmin`, its api/task.py), since its
        models return losses here; so do these.
        """
        return self._in_batches(requests, self._scored, "Scoring", alike=False)

    @torch.inference_mode()
    def _generated(self, batch: list[tuple[Any, ...]]) -> list[str]:
        settings, until = generation_settings(batch[0][1])
        if self.model.generation_config.max_new_tokens is None:
            settings.setdefault("max_new_tokens", MAX_NEW_TOKENS)
        inputs = self._inputs(batch)
        ids = self.model.generate(**inputs, **settings)[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        answers = [cut(text, until).strip() for text in texts]
        for arguments, answer in zip(batch, answers, strict=True):
            self.cache_hook.add_partial("generate_until", tuple(arguments[:2]), answer)
        return answers

    @torch.inference_mode()
    def _scored(self, batch: list[tuple[Any, ...]]) -> list[Scored]:
        inputs = self._inputs(batch)
        ends = [
            self.processor.tokenizer(self._continuation(one), add_special_tokens=False)["input_ids"] for one in batch
        ]
        longest = max(map(len, ends))
        pad = self.processor.tokenizer.pad_token_id
        rows = torch.tensor([[*end, *[pad] * (longest - len(end))] for end in ends], device=self.device)
        real = torch.tensor([[1] * len(end) + [0] * (longest - len(end)) for end in ends], device=self.device)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], rows], dim=1)
        inputs["attention_mask"] = torch.cat([inputs["attention_mask"], real], dim=1)
        logits = self.model(**inputs, logits_to_keep=longest + 1).logits[:, :-1].float()
        losses = -logits.log_softmax(dim=-1).gather(2, rows[..., None])[..., 0]
        greedy = logits.argmax(dim=-1) == rows
        return [_outcome(losses[row], greedy[row], len(end)) for row, end in enumerate(ends)]

    def _continuation(self, arguments: tuple[Any, ...]) -> str:
        """A text, or the target of the document."""
        said = arguments[1]
        if isinstance(said, str):
            return said
        _, _, _, doc_id, task, split = arguments
        return str(said(self.task_dict[task][split][doc_id]))

    def _inputs(self, batch: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        mark = self.processor.image_token
        texts, photos = [], []
        for asked in map(self._asked, batch):
            text = self.prompt.replace(CONTEXT, asked.text)
            if self.blind:
                text = text.replace(mark, "")
            elif mark not in text:
                text = mark * len(asked.photos) + text
            texts.append(text)
            photos.append([] if self.blind else list(asked.photos))
        shown = photos if any(photos) else None
        return dict(self.processor(images=shown, text=texts, return_tensors="pt").to(self.device))


def _outcome(losses: Tensor, greedy: Tensor, count: int) -> Scored:
    if not count:
        return Scored((0.0, True))
    return Scored((float(losses[:count].mean()), bool(greedy[:count].all())))
