"""Training on shards: photos are decoded as they come, and a resumed run goes on at the next sample, to the bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from linmap.data.captions import Captioned
from linmap.data.encoding import readable_photos
from linmap.data.images import UnreadableImages
from linmap.data.shards import caption_shards, read_shard
from linmap.data.stream_loading import StreamLoader
from linmap.data.streams import CaptionStream
from linmap.data.text_files import place_of, read_json
from linmap.errors import RecipeError, UnreadableImageError
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.schema import Recipe
from linmap.recipes.sections import CaptionedPhotosRecipe
from linmap.recipes.trainer import CaptionTrainer, OrderedTrainer
from linmap.recipes.validation import Split

__all__ = ["EachPhotoOnce", "StreamedTrainer", "Streaming", "open_stream", "validation_photos"]

COUNTS = "shards.json"
ORDER = "stream.json"


class EachPhotoOnce(UnreadableImages):
    """Counts a photo that cannot be read once, however many epochs meet it."""

    def leave_out(self, *errors: UnreadableImageError) -> None:
        """See `UnreadableImages`."""
        known = {error.image for error in self.errors}
        super().leave_out(*(error for error in errors if error.image not in known))


def open_stream(recipe: Recipe | ClippoRecipe, unreadable: UnreadableImages, cache: Path) -> CaptionStream:
    """The shards a recipe learns from, counted, as an endless stream.

    Args:
        recipe: Of `data.format: webdataset`.
        unreadable: Counts and names what is damaged, and stops at too much.
        cache: Folder where the numbers of samples are kept, since counting millions takes minutes.

    Raises:
        CaptionDataError: There are no such shards, fewer than readers, or no sample in them.
        RecipeError: Shards to learn from are among those to validate on.
        UnreadableImageError: More is damaged than the recipe allows.
    """
    said = recipe.data
    shards = caption_shards(said.captions)
    validation = {place_of(shard) for shard in caption_shards(said.validation_captions or said.captions)}
    if both := [shard for shard in shards if place_of(shard) in validation]:
        raise RecipeError(
            f"The weights would be chosen by photos they learned from: {both[0]} and {len(both) - 1} other shards are "
            "in data.captions and in data.validation_captions. Name shards that differ."
        )
    stream = CaptionStream(shards, seed=recipe.training.seed, unreadable=unreadable, endless=True, **_cleaning(said))
    stream.require_readers(said.workers)
    _count(stream, cache / COUNTS, said)
    return stream


def validation_photos(recipe: Recipe | ClippoRecipe, unreadable: UnreadableImages) -> Split:
    """The first readable photos of the validation shards, as many as the recipe looks at; kept in memory, encoded."""
    shards = caption_shards(recipe.data.validation_captions or recipe.data.captions)
    samples = (sample for shard in shards for sample in read_shard(shard, unreadable, **_cleaning(recipe.data)))
    taken = islice(samples, recipe.evaluation.photos)  # a shard beyond is not looked through
    photos = [Captioned(sample.photo(), (sample.caption,)) for sample in taken]
    return Split([photos[row] for row in readable_photos([photo.image for photo in photos], unreadable)], None)


class Streaming(OrderedTrainer):
    """A trainer that draws from an endless stream; its workers decode and prepare photos.

    Args:
        stream: What to learn from; counted.
        workers: Worker processes.
        drawn: The stream with other examples between its own, as `StreamLoader` takes one; None: the stream alone.
        photos: Photos of the stream in a batch of one process; None: all of it.
        **kwargs: What the trainer takes.
    """

    def __init__(
        self,
        *,
        stream: CaptionStream,
        workers: int,
        drawn: Any = None,
        photos: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(train_dataset=stream, **kwargs)
        self.drawn = stream if drawn is None else drawn
        self.args.ignore_data_skip = True  # the Trainer's own way is to decode all that is skipped
        self.stream = stream
        self.workers = workers
        self._taken = 0
        photos = self._train_batch_size if photos is None else photos
        a_step = self.args.gradient_accumulation_steps * photos * self.args.world_size
        self.add_callback(_Epochs(a_step / stream.count()))

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's own, from the sample on at which the checkpoint stood.

        Raises:
            RecipeError: That sample is another one now: of other shards, or of another number of processes.
        """
        if isinstance(resume_from_checkpoint, str):
            self._require_same_order(Path(resume_from_checkpoint) / ORDER)
            state = TrainerState.load_from_json(str(Path(resume_from_checkpoint) / TRAINER_STATE_NAME))
            self._taken = state.global_step * self.args.gradient_accumulation_steps
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _require_same_order(self, file: Path) -> None:
        before = read_json(file, "order of the samples", RecipeError, "resume from a checkpoint that has it")
        for what, now in self._order().items():
            if before.get(what) != now:
                raise RecipeError(
                    f"The run saw its samples in another order: {what} {before.get(what)!r} before, {now!r} now. "
                    "Resume it with the shards as they were, in as many processes, or choose another --output."
                )

    def _order(self) -> dict[str, Any]:
        """What decides the order, beside what the recipe says."""
        counts = [(shard.name, self.stream.counts[shard]) for shard in self.stream.shards]
        return {
            "processes": self.args.world_size,
            "samples": self.stream.count(),
            "shards": hashlib.sha256(json.dumps(counts).encode()).hexdigest()[:16],
        }

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """The Trainer's own, and the order beside it."""
        super()._save(output_dir, state_dict)
        if output_dir is not None and self.args.should_save:
            (Path(output_dir) / ORDER).write_text(json.dumps(self._order()), encoding="utf-8")

    def get_train_dataloader(self) -> Any:
        """Batches of this process; they end with the run."""
        collate = cast("Callable[[Sequence[dict[str, Any]]], dict[str, Any]]", self.data_collator)
        loader = StreamLoader(self.drawn, collate, self._train_batch_size, workers=self.workers)
        loader.skip(self._taken)
        return loader


class StreamedTrainer(Streaming, CaptionTrainer):
    """`CaptionTrainer` that draws from an endless stream; see `Streaming`."""


class _Epochs(TrainerCallback):
    """Says how often all samples have been seen; the Trainer takes a stream for one epoch.

    Args:
        a_step: Epochs of one optimiser step.
    """

    def __init__(self, a_step: float) -> None:
        self.a_step = a_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Corrects the number before it is logged and kept."""
        state.epoch = state.global_step * self.a_step


def _cleaning(said: CaptionedPhotosRecipe) -> dict[str, bool]:
    return {"lowercase": said.lower_case, "strip_final_period": said.strip_final_period}


def _count(stream: CaptionStream, file: Path, said: CaptionedPhotosRecipe) -> None:
    """Takes the counts of shards that have not changed from `file`, counts the others, and keeps all there."""
    kept: dict[str, list[Any]] = {}
    if file.is_file():
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            kept = {}  # cut off while it was written
    facts = {
        shard: [shard.stat().st_size, shard.stat().st_mtime_ns, *_cleaning(said).values()] for shard in stream.shards
    }
    for shard, known in facts.items():
        before = kept.get(place_of(shard))
        if before is not None and before[:-1] == known:
            stream.counts[shard] = before[-1]
    if len(stream.counts) == len(stream.shards):
        return
    stream.count()
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    counted = {place_of(shard): [*known, stream.counts[shard]] for shard, known in facts.items()}
    part.write_text(json.dumps(counted, indent=0), encoding="utf-8")
    part.replace(file)
