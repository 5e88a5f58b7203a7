"""The half of `linmap caption` that is DeCap's: photos and videos, captioned through a support memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from linmap.cli.outcomes import Outcome
from linmap.data.video import is_video
from linmap.errors import CaptioningError

if TYPE_CHECKING:
    from linmap.errors import LinmapError

__all__ = ["check_options", "decap_outcomes", "frames_as_one"]

NUM_SUPPORT = 5
"""Sentences that `--explain` shows under a caption."""

Named = tuple[str, "LinmapError | None"]


def check_options(decap: str | None, of_prefix: Mapping[str, Any], of_decap: Mapping[str, Any]) -> None:
    """Refuses options that say nothing to the model that was chosen.

    Args:
        decap: The word after `--decap`.
        of_prefix: Options that a linear vision prefix alone has, with their values.
        of_decap: Likewise of DeCap.

    Raises:
        CaptioningError: One of them was given.
    """
    others = of_prefix if decap is not None else of_decap
    strange = [name for name, value in others.items() if value is not None and value is not False]
    if strange and decap is None:
        raise CaptioningError(f"{', '.join(strange)}: for models of DeCap. Name one with --decap MODEL.")
    if strange:
        raise CaptioningError(f"{', '.join(strange)}: not for models of DeCap. Leave it out, or leave --decap out.")


def frames_as_one(photos: Sequence[Named]) -> list[str]:
    """The frames of one video, given as photos.

    Raises:
        LinmapError: One of them is not there, or is a video itself.
    """
    for name, error in photos:
        if error is not None:
            raise error
        if is_video(name):
            raise CaptioningError(f"{name} is a video, and --as-video makes one of photos. Leave it out.")
    return [name for name, _ in photos]


def decap_outcomes(
    photos: Sequence[Named] | None,
    frames: Sequence[str] | None,
    model: str,
    memory: str | None,
    device: str,
    dtype: str,
    *,
    explain: bool,
    num_frames: int,
    batch_size: int,
    **how: Any,
) -> Iterator[Outcome]:
    """Captions in the order of `photos`, or the one of `frames`.

    Args:
        photos: Photos and videos, each with the reason where there is none.
        frames: Instead of photos: those of one video.
        model: Folder, Hub id, or `"default"` for the bundled one.
        memory: Folder or Hub id of another memory than the model's.
        device: As `linmap caption` takes it.
        dtype: As there.
        explain: Whether the sentences behind each caption are wanted.
        num_frames: Frames of a video.
        batch_size: Photos at a time.
        **how: As `linmap.decap.captioning.caption_latents` takes it.

    Raises:
        LinmapError: The model, its memory, the device or the strategy is not to be had.
    """
    from linmap.cli.messages import quiet_libraries
    from linmap.cli.models import DECAP, decap_folder, load_decap, read_config

    if frames is None and all(error is not None for _, error in photos or ()):
        return iter([Outcome(name, error=error) for name, error in photos or ()])
    read_config(decap_folder(model), DECAP)  # a wrong name is said before torch is imported, which takes seconds
    quiet_libraries()
    from linmap.decap.captioning import caption_photos, caption_videos

    loaded = load_decap(model, device, dtype, memory=memory, strategy=how.get("strategy"))
    how["num_support"] = NUM_SUPPORT if explain else 0
    of_photos = {**how, "batch_size": batch_size}
    of_videos = {**how, "batch_size": max(1, batch_size // num_frames), "num_frames": num_frames}

    def outcome(answer: Any, name: str | Sequence[str], kind: str) -> Outcome:
        support = answer.support if explain else None
        return Outcome(name, kind, answer.caption, answer.error, support)

    def runs() -> Iterator[Outcome]:
        if frames is not None:
            for answer in caption_videos(loaded.model, loaded.processor, [frames], **of_videos):
                yield outcome(answer, frames, "video")
        for kind, run in groupby(photos or (), key=_kind):
            named = [name for name, _ in run]
            if isinstance(kind, str):
                caption: Any = caption_videos if kind == "video" else caption_photos
                answers = caption(
                    loaded.model, loaded.processor, named, **(of_videos if kind == "video" else of_photos)
                )
                for name, answer in zip(named, answers, strict=True):
                    yield outcome(answer, name, kind)
            else:
                yield from (Outcome(name, error=kind) for name in named)

    return runs()


def _kind(photo: Named) -> Any:
    name, error = photo
    return error or ("video" if is_video(name) else "image")
