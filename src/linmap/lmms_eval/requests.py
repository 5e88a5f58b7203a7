"""What lmms-eval asks: its requests as texts, photos and settings of `generate`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig

from linmap.errors import EvaluationError

__all__ = ["Question", "cut", "generation_settings", "question_of"]

log = logging.getLogger(__name__)

RENAMED = {"max_gen_toks": "max_new_tokens"}
KNOWN = frozenset(GenerationConfig().to_dict()) | {"max_new_tokens"}


@dataclass(frozen=True)
class Question:
    """One request.

    Args:
        text: The task's.
        photos: Pictures or paths, in reading order; empty where there is none.
    """

    text: str
    photos: tuple[Any, ...]


def question_of(arguments: Sequence[Any], task_dict: Mapping[str, Any]) -> Question:
    """Reads `(text, settings or continuation, doc_to_visual, doc_id, task, split)`, or `(text, continuation)` alone.

    Raises:
        EvaluationError: The task shows something that is no photo.
    """
    if len(arguments) == 2:  # unconditional, for mutual information
        return Question(arguments[0], ())
    text, _, doc_to_visual, doc_id, task, split = arguments
    photos = tuple(doc_to_visual(task_dict[task][split][doc_id]) or ()) if doc_to_visual is not None else ()
    strange = next((one for one in photos if not (isinstance(one, str) or hasattr(one, "convert"))), None)
    if strange is not None:
        raise EvaluationError(
            f"Task {task!r} shows a {type(strange).__name__} with document {doc_id}; models of linmap look at photos. "
            "Choose a task of photos."
        )
    return Question(text, photos)


def generation_settings(said: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings of a task as `generate` takes them, and the texts that end an answer.

    A temperature of 0 is greedy, as everywhere in lmms-eval. Settings that `generate` does not know, such as those for
    the image processors of other models, are named in a warning and left out.
    """
    settings = {RENAMED.get(name, name): value for name, value in said.items() if value is not None}
    until = settings.pop("until", [])
    temperature = settings.pop("temperature", None)
    if temperature is not None:
        settings.setdefault("do_sample", temperature > 0)
        if settings["do_sample"]:
            settings["temperature"] = float(temperature)
    if not settings.get("do_sample"):
        settings = {name: value for name, value in settings.items() if name not in ("top_p", "top_k")}
    strange = sorted(settings.keys() - KNOWN)
    if strange:
        log.warning("Left out, since generate knows no such setting: %s.", ", ".join(strange))
    return {name: value for name, value in settings.items() if name in KNOWN}, (
        [until] if isinstance(until, str) else list(until)
    )


def cut(answer: str, until: Sequence[str]) -> str:
    """The answer up to the first of the texts that end one."""
    places = [place for place in (answer.find(end) for end in until if end) if place >= 0]
    return answer[: min(places)] if places else answer
