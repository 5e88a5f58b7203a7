"""CLIPScore and RefCLIPScore of captions: photos and texts through a dual encoder, once for all captioners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linmap.data.images import Photo

__all__ = ["Nearness"]


class Nearness:
    """Scores by the nearness of captions to photos.

    Args:
        word: The dual encoder: folder, Hub id, `"open_clip:NAME/TAG"`; None is the bundled one.
        device: As it was asked for.

    Raises:
        LinmapError: The model is no dual encoder or is not there.
    """

    def __init__(self, word: str | None, device: str) -> None:
        from linmap.cli.dual_encoders import announce

        self.word = word
        self.device = device
        self.name = announce(word, device)

    def __call__(
        self,
        metrics: Sequence[str],
        photos: Sequence[Photo],
        captions: Mapping[str, Sequence[str]],
        references: Sequence[Sequence[str]],
    ) -> dict[str, dict[str, tuple[float, ...]]]:
        """For each captioner, by the metric and the dual encoder, the score of every photo.

        Args:
            metrics: `"CLIPScore"`, `"RefCLIPScore"`.
            photos: What was captioned.
            captions: By captioner, one a photo.
            references: At least one a photo.

        Raises:
            UnreadableImageError: A photo cannot be read, or not be prepared for this encoder.
        """
        from linmap.cli.dual_encoders import embed_texts, load_comparing
        from linmap.contrastive.embedding import embed_photos
        from linmap.evaluation import clip_prompts, clip_scores, ref_clip_scores

        comparing = load_comparing(self.word, self.device)
        seen = embed_photos(comparing.model, comparing.processor, photos).features
        every = [text for texts in captions.values() for text in texts]
        texts = embed_texts(comparing, clip_prompts(every)).split([len(one) for one in captions.values()])
        found: dict[str, dict[str, tuple[float, ...]]] = {label: {} for label in captions}
        if "CLIPScore" in metrics:
            for of, said in zip(found.values(), texts, strict=True):
                score = clip_scores(seen, said, encoder=self.name)
                of[score.name] = score.per_image
        if "RefCLIPScore" in metrics:
            theirs = embed_texts(comparing, clip_prompts([text for one in references for text in one]))
            people = theirs.split([len(one) for one in references])
            for of, said in zip(found.values(), texts, strict=True):
                score = ref_clip_scores(seen, said, people, encoder=self.name)
                of[score.name] = score.per_image
        return found
