"""Questions about photos, with solved examples in front: few-shot VQA, nothing read twice that questions share."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from linmap.data.ahead import fitting_in_memory
from linmap.errors import CaptioningError, ConfigurationError, ImageCountError
from linmap.prefix.few_shot_cache import ImageCaches, SupportCache
from linmap.prefix.few_shot_prompts import answer_is_complete, cut_answer, question_prompt, solved_prompt

if TYPE_CHECKING:
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["MAX_ANSWER_TOKENS", "FewShotAnswerer", "SolvedExample"]

logger = logging.getLogger(__name__)

MAX_ANSWER_TOKENS = 12
"""Tokens after which an answer ends at the latest: answers of VQAv2 and DAQUAR are one to four words."""


@dataclass(frozen=True, slots=True)
class SolvedExample:
    """A question with its answer, shown before the question that is asked.

    Args:
        question: As it stands behind `Q:`.
        answer: As it stands behind `A:`.
        feature: `(cells, feature_dim)` of its photo; None without a photo.
    """

    question: str
    answer: str
    feature: Tensor | None = None


class FewShotAnswerer:
    """Answers questions behind the same solved examples, whose keys and values are computed once, as a photo's are.

    Decoding is greedy whatever the model's generation configuration says, which is made for captions: its penalties and
    its suppressed tokens would keep an answer from repeating a word of the question, or from ending with its line.

    Args:
        model: On the device and in the dtype it is to run in.
        processor: The model's processor.
        examples: The solved examples, in the order in which they are read; none for zero shots. All have a feature, or
            none has: then the model is blind, and sees the same texts without image tokens.
        sighted: Whether questions come with photos; None follows the examples, and is True without any.
        max_new_tokens: Longest answer, in tokens.
        reuse: False reads examples and photo again with every question, which gives the same answers.

    Raises:
        ConfigurationError: Some examples have a feature and some have not, or the examples are too long for the
            language model.

    Example:
        >>> example = SolvedExample("what is it?", "a dog", feature)  # doctest: +SKIP
        >>> answerer = FewShotAnswerer(model, processor, [example])  # doctest: +SKIP
        >>> dict(answerer.answer(["what colour is it?"], features))  # doctest: +SKIP
        {0: 'brown'}
    """

    def __init__(
        self,
        model: LinearVisionPrefixModel,
        processor: LinearVisionPrefixProcessor,
        examples: Sequence[SolvedExample] = (),
        *,
        sighted: bool | None = None,
        max_new_tokens: int = MAX_ANSWER_TOKENS,
        reuse: bool = True,
    ) -> None:
        self.model, self.processor = model, processor
        self.max_new_tokens = max_new_tokens
        features = [example.feature for example in examples if example.feature is not None]
        self.sighted = (bool(features) or not examples) if sighted is None else sighted
        if len(features) != (len(examples) if self.sighted else 0):
            raise ConfigurationError(
                f"{len(features)} of {len(examples)} solved examples have features of a photo, and the questions come "
                f"{'with' if self.sighted else 'without'} photos. Give all of them features, or none."
            )
        image = processor.image_token if self.sighted else ""
        self._support_ids = self._first_ids()
        for example in examples:
            question, answer = self._words(example.question), self._words(example.answer)
            self._support_ids += self._ids(solved_prompt(question, answer, image))
        self._image = image
        self._support_features = torch.stack(features) if features else None
        self._limit = getattr(model.config.text_config, "max_position_embeddings", None)
        if self._room(0) < 1:
            raise ConfigurationError(
                f"{len(examples)} solved examples take {len(self._support_ids)} tokens, and the language model reads "
                f"{self._limit} with question and answer; take fewer of them, or a shorter max_new_tokens."
            )
        self._cache: SupportCache | None = None
        if reuse and self._support_ids:
            self._cache = SupportCache.of(model, self._support_ids, self._support_features)

    def answer(
        self,
        questions: Sequence[str],
        features: Tensor | None = None,
        photos: Sequence[int] | None = None,
        *,
        batch_size: int = 32,
    ) -> Iterator[tuple[int, str]]:
        """Answers `questions`, the short ones first, so that little of a batch is padding.

        Args:
            questions: The questions.
            features: `(photos, cells, feature_dim)`; None for a blind answerer.
            photos: For each question the row of `features` that it is about; None: each has its own, in order.
            batch_size: Questions answered at a time, at least 1.

        Yields:
            The place of a question and its answer, which may be empty. A question that is longer than the language
            model can read is answered with "" and named in a warning.

        Raises:
            ImageCountError: Not every question has a photo, or one is asked blind and has.
            CaptioningError: The batch size is below 1, or a batch does not fit in memory.
        """
        if batch_size < 1:
            raise CaptioningError(f"The batch size is {batch_size}; it must be at least 1.")
        photos = self._photos_of(questions, features, photos)
        ids = [self._question_ids(question) for question in questions]
        for place, row in enumerate(ids):
            if self._room(len(row)) < 0:
                logger.warning(
                    "Not answered, since it is too long for the language model (%d tokens with its examples): %.60s…",
                    len(self._support_ids) + len(row),
                    questions[place],
                )
                yield place, ""
        images = self._image_caches(ids, features, batch_size)
        for places in self._batches(ids, batch_size):
            these = [photos[place] for place in places] if photos else []
            yield from zip(
                places, self._answers([ids[place] for place in places], features, these, images), strict=True
            )

    def generate(self, questions: Sequence[str], features: Tensor | None = None, **settings: Any) -> Any:
        """What `model.generate` gives for one batch of questions, prompts included.

        Args:
            questions: As for `answer`.
            features: As there, one for each question.
            **settings: Further ones of `generate`, such as `return_dict_in_generate`.
        """
        photos = self._photos_of(questions, features, None)
        ids = [self._question_ids(question) for question in questions]
        images = self._image_caches(ids, features, len(ids))
        return self._generate(self._inputs(ids, features, photos, images), settings)

    def _photos_of(
        self, questions: Sequence[str], features: Tensor | None, photos: Sequence[int] | None
    ) -> Sequence[int]:
        """For each question its row of `features`; [] for a blind answerer."""
        given = 0 if features is None else len(features)
        rows = list(range(given)) if photos is None else list(photos)
        if len(rows) != (len(questions) if self.sighted else 0):
            raise ImageCountError(
                f"{len(rows)} photos were given for {len(questions)} questions. Give one for each where the examples "
                "have photos, and none where they have not."
            )
        if strays := [row for row in rows if not 0 <= row < given]:
            raise ImageCountError(f"A question is about photo {strays[0]}, and features of {given} photos were given.")
        return rows

    def _image_caches(
        self, ids: Sequence[Sequence[int]], features: Tensor | None, batch_size: int
    ) -> ImageCaches | None:
        """Every photo behind the examples, where a question can be put behind that."""
        head = [self.processor.image_token_id] * self.processor.num_image_tokens
        together = features is not None and ids and all(list(row[: len(head)]) == head for row in ids)
        if features is None or not together or self._cache is None or not self._cache.takes_padding:
            return None
        with fitting_in_memory(min(batch_size, len(features)), self.model.device):
            return self._cache.behind(self.model, features, batch_size)

    def _generate(self, inputs: dict[str, Any], settings: dict[str, Any]) -> Any:
        with torch.inference_mode(), _greedy(self.model, self.processor):
            return self.model.generate(**inputs, **({"max_new_tokens": self.max_new_tokens} | settings))

    def _answers(
        self, ids: Sequence[Sequence[int]], features: Tensor | None, photos: Sequence[int], images: ImageCaches | None
    ) -> list[str]:
        with fitting_in_memory(len(ids), self.model.device):
            inputs = self._inputs(ids, features, photos, images)
            read = inputs["input_ids"].shape[1]
            ends = StoppingCriteriaList([_AnswerEnds(self.processor.tokenizer, read)])
            generated = self._generate(inputs, {"stopping_criteria": ends})
        texts = self.processor.tokenizer.batch_decode(generated[:, read:], skip_special_tokens=True)
        return [cut_answer(text) for text in texts]

    def _inputs(
        self, ids: Sequence[Sequence[int]], features: Tensor | None, photos: Sequence[int], images: ImageCaches | None
    ) -> dict[str, Any]:
        """What `generate` takes; the padding stands behind what is held in the cache, in front of the rest."""
        device, pad = self.model.device, self.processor.tokenizer.pad_token_id
        held = 0 if self._cache is None else len(self._cache) if images is None else len(images)
        longest = max(map(len, ids))
        rows, masks = [], []
        for question in ids:
            row, padding = [*self._support_ids, *question], longest - len(question)
            rows.append(row[:held] + [pad] * padding + row[held:])
            masks.append([1] * held + [0] * padding + [1] * (len(row) - held))
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(rows, device=device),
            "attention_mask": torch.tensor(masks, device=device),
        }
        if images is not None:
            return inputs | {"past_key_values": images.expanded(photos)}
        if self._cache is not None:
            inputs["past_key_values"] = self._cache.expanded(len(ids))
        if features is None:
            return inputs
        seen = features[list(photos)]
        if self._cache is None and self._support_features is not None:
            examples = self._support_features.to(seen.device, seen.dtype)
            seen = torch.cat([torch.cat([examples, one[None]]) for one in seen])
        return inputs | {"image_features": seen.to(device)}

    def _batches(self, ids: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
        """Places of questions that fit, by length; of one length where the cache takes no padding behind it."""
        groups: dict[int, list[int]] = defaultdict(list)
        of_one_length = self._cache is not None and not self._cache.takes_padding
        for place in sorted(range(len(ids)), key=lambda place: len(ids[place])):
            if self._room(len(ids[place])) >= 0:
                groups[len(ids[place]) if of_one_length else 0].append(place)
        for places in groups.values():
            for start in range(0, len(places), batch_size):
                yield places[start : start + batch_size]

    def _first_ids(self) -> list[int]:
        """What the tokenizer puts in front of every text: its begin-of-text token, or nothing."""
        whole = self.processor.tokenizer("a")["input_ids"]
        return whole[: len(whole) - len(self.processor.tokenizer("a", add_special_tokens=False)["input_ids"])]

    def _question_ids(self, question: str) -> list[int]:
        return self._ids(question_prompt(self._words(question), self._image))

    def _words(self, text: str) -> str:
        """A text that holds the mark of an image means the word."""
        return text.replace(self.processor.image_token, "image")

    def _ids(self, prompt: str) -> list[int]:
        image = self.processor.image_token
        prompt = prompt.replace(image, image * self.processor.num_image_tokens)
        return self.processor.tokenizer(prompt, add_special_tokens=False)["input_ids"]

    def _room(self, question: int) -> int:
        """Places that are left beside examples, a question of so many tokens and the longest answer."""
        limit = self._limit or 1 << 62
        return limit - len(self._support_ids) - question - self.max_new_tokens


class _AnswerEnds(StoppingCriteria):
    """Ends a row whose answer is complete, so that a batch takes no longer than its longest answer."""

    def __init__(self, tokenizer: Any, read: int) -> None:
        self.tokenizer, self.read = tokenizer, read

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        texts = self.tokenizer.batch_decode(input_ids[:, self.read :], skip_special_tokens=True)
        ended = [answer_is_complete(text) for text in texts]
        return torch.tensor(ended, device=input_ids.device)


@contextmanager
def _greedy(model: LinearVisionPrefixModel, processor: LinearVisionPrefixProcessor) -> Iterator[None]:
    """The model's generation configuration, with whose rest `generate` fills what is left open, put aside."""
    own = model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        bos_token_id=own.bos_token_id,
        eos_token_id=own.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    try:
        yield
    finally:
        model.generation_config = own
