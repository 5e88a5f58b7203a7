"""The data of a recipe as far as it lies on this machine: a plan counts it, and says what is not here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from linmap.data.images import UnreadableImages
from linmap.data.shards import caption_shards
from linmap.errors import CaptionDataError
from linmap.recipes.assembly import read_splits
from linmap.recipes.examples import CaptionExamples, caption_lengths
from linmap.recipes.schema import Recipe
from linmap.recipes.sections import STORED, STREAMED, WITHOUT_FOLDER, CaptionedPhotosRecipe

__all__ = ["Counted", "count", "lines_of_missing", "missing_captions", "missing_data"]

LONGEST_CAPTION = 50
"""Tokens of the longest caption in a batch, where none is here to be measured and none would be cut."""


@dataclass(frozen=True)
class Counted:
    """What a recipe of a linear vision prefix reads.

    Args:
        photos: To learn from; None where they cannot be counted here, as for the next two.
        validation: To validate on.
        captions: To learn from.
        longest: Longest caption, in tokens; assumed where it cannot be measured here.
        lines: What the plan says of them.
    """

    photos: int | None = None
    validation: int | None = None
    captions: int | None = None
    longest: int = LONGEST_CAPTION
    lines: Sequence[str] = ()


def count(recipe: Recipe) -> Counted:
    """Reads the captions that are here; opens no photo, looks into no shard, fetches nothing."""
    said = recipe.data
    longest = min(said.max_caption_tokens or LONGEST_CAPTION, LONGEST_CAPTION)
    prompt = f"prompt {recipe.model.prompt!r}"
    if recipe.model.training_prompt is not None:
        prompt += f", in training {recipe.model.training_prompt!r}"
    if missing := missing_data(said):
        lines = [*lines_of_missing(missing, "photos, captions and epochs"), f"captions {prompt}"]
        return Counted(longest=longest, lines=lines)
    if said.format == STREAMED:
        return _of_shards(said, longest, prompt)
    training, validation = read_splits(said, UnreadableImages(said.unreadable_limit))
    looked_at = validation[: recipe.evaluation.photos]
    captions = [caption for _, caption in CaptionExamples.every_caption(training).pairs]
    lengths, unit = _lengths(recipe, captions)
    lines = [
        f"photos   {len(training):,} of {said.train_split!r}, {len(looked_at):,} of {said.validation_split!r} for "
        "validation",
        f"captions {len(captions):,}, {sum(lengths) / max(len(lengths), 1):.1f} {unit} on average, "
        f"{max(lengths, default=0)} at most; {prompt}",
    ]
    if unit == "tokens":
        longest = min(said.max_caption_tokens or max(lengths, default=0), max(lengths, default=0))
    return Counted(len(training), len(looked_at), len(captions), longest, lines)


def missing_data(said: CaptionedPhotosRecipe) -> list[str]:
    """What a recipe of captioned photos names and this machine does not have, each with its key."""
    named = {
        "data.captions": said.captions,
        "data.validation_captions": said.validation_captions,
    }
    if said.format == STORED or said.format not in WITHOUT_FOLDER:  # stored features may show pictures
        named |= {"data.images": said.images, "data.validation_images": said.validation_images}
    return missing_captions({key: value for key, value in named.items() if value}, said.format)


def missing_captions(named: dict[str, str], format: str) -> list[str]:  # noqa: A002 - as a recipe has it
    """Which of some files are not here, each with its key.

    Args:
        named: Key of a recipe -> file, folder, pattern of shards or name of a dataset.
        format: As a recipe says it; a dataset of the Hub is not fetched to be counted.
    """
    return [f"{key} {value}" for key, value in named.items() if not _is_here(value, format)]


def lines_of_missing(missing: Sequence[str], uncounted: str) -> list[str]:
    """The lines of a plan for data that is not on this machine.

    Args:
        missing: What, each with its key.
        uncounted: What cannot be counted for that reason.
    """
    return [f"missing  {what} is not here: {uncounted} are not counted" for what in missing]


def _is_here(value: str, format: str) -> bool:  # noqa: A002
    if format != STREAMED:
        return Path(value).exists()
    try:
        return bool(caption_shards(value))
    except CaptionDataError:
        return False


def _of_shards(said: CaptionedPhotosRecipe, longest: int, prompt: str) -> Counted:
    """img2dataset writes beside each shard how many photos it could fetch; a shard is not looked into."""
    shards = caption_shards(said.captions)
    known = [_successes(shard) for shard in shards]
    counts = [number for number in known if number is not None]
    photos = sum(counts) if len(counts) == len(shards) else None
    amount = "" if photos is None else f", {photos:,} photos with one caption each"
    lines = [f"photos   {len(shards):,} shards{amount}", f"captions {prompt}"]
    return Counted(photos, None, photos, longest, lines)


def _successes(shard: Path) -> int | None:
    try:
        return int(json.loads(shard.with_name(f"{shard.stem}_stats.json").read_text(encoding="utf-8"))["successes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lengths(recipe: Recipe, captions: Sequence[str]) -> tuple[list[int], str]:
    """In tokens where the tokenizer is on this machine, else in words."""
    from linmap.prefix.outline import tokenizer_at_hand

    tokenizer = tokenizer_at_hand(recipe.model.language_model, gguf_file=recipe.model.gguf_file)
    if tokenizer is None:
        return [len(caption.split()) for caption in captions], "words"
    return caption_lengths(tokenizer, captions), "tokens"
