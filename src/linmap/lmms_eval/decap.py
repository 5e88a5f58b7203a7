"""DeCap for lmms-eval: captions of one photo each, whatever the task's text asks for."""

from __future__ import annotations

from typing import Any

from lmms_eval.api.instance import Instance

from linmap import hub
from linmap.decap.captioning import caption_photos
from linmap.decap.modeling import DeCapModel
from linmap.decap.processing import DeCapProcessor
from linmap.errors import EvaluationError
from linmap.lmms_eval.model import LinmapLmm
from linmap.lmms_eval.requests import cut, generation_settings

__all__ = ["DeCapLmm"]


class DeCapLmm(LinmapLmm):
    """A DeCap model, as `lmms-eval --model linmap_decap --model_args pretrained=FOLDER --tasks coco_cap` runs it.

    It reads no text, so it takes tasks of captioning alone.

    Args:
        pretrained: Folder or Hub id; `default` is the bundled model.
        revision: Branch, tag or commit, of a Hub id.
        strategy: How a photo becomes a latent to decode; None: the model's own.
        device: See `LinmapLmm`.
        batch_size: See there.

    Raises:
        EvaluationError: An argument makes no sense.
        LinmapError: The model, or a part of it, is not to be had.
    """

    def __init__(
        self,
        pretrained: str = "default",
        revision: str | None = None,
        strategy: str | None = None,
        device: str | None = None,
        batch_size: int | str = 1,
        **unknown: Any,
    ) -> None:
        super().__init__(device, batch_size, **unknown)
        name = hub.default_decap() if pretrained == "default" else pretrained
        self.processor = DeCapProcessor.from_pretrained(name, revision=revision)
        self.model = DeCapModel.from_pretrained(name, revision=revision).eval()
        self.model.to(self.device)
        self.strategy = strategy

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Captions, each up to the first of the task's `until` texts.

        Raises:
            EvaluationError: A document shows no photo, or several.
        """
        return self._in_batches(requests, self._captions, "Captioning", alike=True)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Refuses: a text that it does not read has no likelihood behind one.

        Raises:
            EvaluationError: Always.
        """
        raise EvaluationError("DeCap captions photos, and scores no choices; take --model linmap, or another task.")

    def _captions(self, batch: list[tuple[Any, ...]]) -> list[str]:
        settings, until = generation_settings(batch[0][1])
        photos = []
        for arguments in batch:
            shown = self._asked(arguments).photos
            if len(shown) != 1:
                raise EvaluationError(f"DeCap captions one photo; document {arguments[3]} shows {len(shown)}.")
            photos.append(shown[0])
        answers = []
        made = caption_photos(
            self.model, self.processor, photos, strategy=self.strategy, batch_size=len(photos), **settings
        )
        for arguments, one in zip(batch, made, strict=True):
            if one.error is not None:
                raise one.error
            answers.append(cut(one.caption or "", until).strip())
            self.cache_hook.add_partial("generate_until", tuple(arguments[:2]), answers[-1])
        return answers
