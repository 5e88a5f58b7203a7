"""lmms-eval, where it is installed, and documents as its tasks show them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

HOW = (
    "lmms-eval is not installed: python -m pip install --no-deps lmms-eval==0.7.3 && "
    "python -m pip install loguru pytablewriter sacrebleu tenacity"
)


@pytest.fixture(scope="session")
def lmms() -> Any:
    """lmms-eval's registry of models; the test is skipped where there is none."""
    pytest.importorskip("lmms_eval.models", reason=HOW)
    import lmms_eval.models

    return lmms_eval.models


@pytest.fixture
def asking(pictures: Any) -> Callable[..., list[Any]]:
    """`asking(model, texts, said, photos=None)`: requests as a task makes them, each with its photos, one by default.

    `said` is what stands behind the text: the settings of `generate_until`, or the continuation of `loglikelihood`.
    """

    def make(model: Any, texts: list[str], said: Any, photos: list[list[Any]] | None = None) -> list[Any]:
        shown = photos if photos is not None else [[picture] for picture in pictures[: len(texts)]]
        each = said if isinstance(said, list) else [said] * len(texts)
        model.task_dict["photos"] = {"test": [{"photos": one, "target": "a dog"} for one in shown]}
        return [
            SimpleNamespace(args=(text, one, lambda doc: doc["photos"], number, "photos", "test"))
            for number, (text, one) in enumerate(zip(texts, each, strict=True))
        ]

    return make
