"""Where a run's batches come from: examples that are numbered, or a stream of shards with text pairs between."""

from __future__ import annotations

from typing import Any

from linmap.errors import RecipeError
from linmap.recipes.clippo.batches import MixedBatches, MixedExamples
from linmap.recipes.clippo.mixed_stream import MixedStream
from linmap.recipes.clippo.photos import LearnedPhotos
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.clippo.sources import text_pairs
from linmap.recipes.clippo.trainer import ClippoTrainer
from linmap.recipes.pairs import PairExamples, PairSplit
from linmap.recipes.streamed import Streaming

__all__ = ["StreamedClippoTrainer", "what_is_drawn"]


class StreamedClippoTrainer(Streaming, ClippoTrainer):
    """`ClippoTrainer` that draws from an endless stream; see `Streaming`."""


def what_is_drawn(
    recipe: ClippoRecipe, learned: LearnedPhotos, processes: int
) -> tuple[type[ClippoTrainer], dict[str, Any]]:
    """The trainer of a run, and what it is told to draw from.

    Args:
        recipe: The run.
        learned: Its photos.
        processes: How many run it together.

    Raises:
        RecipeError: Rows of a streamed batch cannot be shared out among the processes evenly.
        LinmapError: A source of text pairs is not there, or holds none.
    """
    texts = text_pairs(recipe.data.text_pairs, learned.captioned, learned.ids)
    seed = recipe.training.seed
    if learned.stream is None:
        views = 2 if recipe.data.mirror else 1
        split = PairSplit(learned.captioned, None, None)
        photos = PairExamples(split, views=views, ids=learned.ids) if recipe.photo_rows else None
        examples = MixedExamples(photos, texts, crop=recipe.data.crop)
        order = MixedBatches(examples, photo_rows=recipe.photo_rows, text_rows=recipe.text_rows, seed=seed)
        return ClippoTrainer, {"train_dataset": examples, "train_sampler": order}
    rows = [recipe.photo_rows, *recipe.text_rows]
    if any(count % processes for count in rows):
        raise RecipeError(
            f"A batch is made of {' + '.join(map(str, rows))} pairs, and {processes} processes were started: each "
            "takes equally many of each kind from its own shards. Choose other shares or another training.batch_size."
        )
    each = [count // processes for count in rows]
    mixed = MixedStream(
        learned.stream,
        texts,
        photo_rows=each[0],
        text_rows=each[1:],
        mirror=recipe.data.mirror,
        crop=recipe.data.crop,
        seed=seed,
    )
    drawn = {"stream": learned.stream, "workers": recipe.data.workers, "drawn": mixed, "photos": each[0]}
    return StreamedClippoTrainer, drawn
