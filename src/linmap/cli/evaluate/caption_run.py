"""The captions of a run: every captioner over all photos, once, kept as they are made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linmap.cli.evaluate.captioners import (
    NamedModel,
    captioned,
    captioned_features,
    decoding_of,
    generation_config,
    load_seeing,
    model_digest,
    require_features,
    untrained_encoder,
)
from linmap.cli.evaluate.options import Control
from linmap.errors import OutputFolderError

if TYPE_CHECKING:
    from linmap.cli.evaluate.caption_data import Measured
    from linmap.cli.models import Captioner
    from linmap.data.images import UnreadableImages
    from linmap.evaluation import WrittenCaption, WrittenCaptions

__all__ = ["CAPTIONS", "Pass", "Run", "complete", "passes_of", "results_folder"]

CAPTIONS = "captions"
"""The folder of the captions in that of the results."""

RESULTS = "results.json"
"""The file of the results there."""


@dataclass(frozen=True)
class Run:
    """What all captioners of a run have in common.

    Args:
        photos: What is captioned, with what people wrote about it.
        folder: Of the results; None writes none.
        num_beams: What is asked for; None is each model's own.
        batch_size: Photos captioned at a time.
        device: As it was asked for.
        device_kind: The kind of the device that is meant: "cpu", "cuda" or "mps".
        dtype: Number format of the language model, as it was asked for.
        seed: Of the controls.
    """

    photos: Measured
    folder: Path | None
    num_beams: int | None
    batch_size: int
    device: str
    device_kind: str
    dtype: str
    seed: int


@dataclass(frozen=True)
class Pass:
    """One captioner over all photos: a model, or what holds it behind an untrained encoder.

    Args:
        model: The model.
        control: None, or `Control.RANDOM_ENCODER`.
        decoding: As `generate` takes it.
        captions: Those that there are already, and where the others go.
    """

    model: NamedModel
    control: Control | None
    decoding: dict[str, Any]
    captions: WrittenCaptions

    @property
    def name(self) -> str:
        """What a progress bar says."""
        return self.model.name if self.control is None else f"{self.model.name}, {self.control}"


def passes_of(models: Iterable[NamedModel], controls: Sequence[Control], run: Run) -> list[Pass]:
    """The captions that are to be made, in order; what an earlier run wrote is read.

    Raises:
        OutputFolderError: An earlier run wrote the captions of another model, of other photos, or made otherwise.
        ModelNotFoundError: The settings of a model are damaged.
        FeatureMismatchError: The photos are features of another encoder than a model's.
    """
    from linmap.evaluation import WrittenCaptions

    found = []
    if run.folder is not None:
        _require_photos(run.folder / CAPTIONS, run)
    for model in models:
        if run.photos.store is not None:
            require_features(model, run.photos.store)
        decoding = decoding_of(generation_config(model), run.num_beams)
        digest = model_digest(model.folder)
        for control in [None, *(one for one in controls if one is Control.RANDOM_ENCODER)]:
            identity = {
                "model": digest,
                "encoder": run.photos.seen if control is None else f"untrained, seed {run.seed}",
                "photos": run.photos.digest,
                "decoding": decoding,
                "batch size": run.batch_size,
                "device": run.device_kind,
                "dtype": run.dtype,
            }
            file = f"{model.name}.jsonl" if control is None else f"{model.name}@{control}.jsonl"
            path = None if run.folder is None else run.folder / CAPTIONS / file
            captions = WrittenCaptions(path, identity, run.photos.names, run.batch_size)
            if captions.missing and decoding["do_sample"]:
                captions.start_over()  # the random numbers begin anew
            found.append(Pass(model, control, decoding, captions))
    return found


@contextmanager
def results_folder(folder: Path | None, measurement: str) -> Iterator[None]:
    """Makes the folder of the results and keeps every other run out of it: said before the hours, not after them.

    Args:
        folder: The folder; None makes none.
        measurement: What is measured, as in `linmap evaluate caption`.

    Raises:
        OutputFolderError: It cannot be made or written in, another run is writing there, or it holds the results of
            something else.
    """
    if folder is None:
        yield
        return
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputFolderError(f"Another run is writing in {folder}; wait for it, or name another folder.") from error
    except OSError as error:
        raise OutputFolderError(
            f"Nothing can be written in {folder} ({error.strerror or error}); name another folder."
        ) from error
    try:
        _require_results(folder / RESULTS, measurement)
        yield
    finally:
        lock.release()


def _require_results(path: Path, measurement: str) -> None:
    """Refuses results of another measurement, or of whatever else: they would be replaced."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputFolderError(f"{path} cannot be read ({error.strerror}); name another folder.") from error
    try:
        command = str(json.loads(content)["command"])
    except (ValueError, KeyError, TypeError, RecursionError):
        command = ""
    found = re.search(r"\bevaluate (\w+)", command)
    if found is None or found[1] != measurement:
        raise OutputFolderError(
            f"{path} was not written by `linmap evaluate {measurement}`, and would be replaced. Name another folder, "
            "or take the file away."
        )


def _require_photos(folder: Path, run: Run) -> None:
    """Refuses a folder with the captions of other photos: results and pictures of both would be mixed."""
    from linmap.evaluation import WrittenCaptions

    for path in sorted(folder.glob("*.jsonl")):
        identity = WrittenCaptions.identity_in(path)
        if identity is not None and identity.get("photos") != run.photos.digest:
            raise OutputFolderError(
                f"{path} holds captions of other photos, or of photos captioned otherwise by people. Name another "
                "folder for these."
            )


def complete(passes: Iterable[Pass], run: Run, unreadable: UnreadableImages) -> None:
    """Makes the captions that are missing; a model is loaded only for those, and one at a time.

    Raises:
        UnreadableImageError: A photo cannot be read; and see `UnreadableImages`.
        LinmapError: A model cannot be loaded, or cannot caption.
    """
    from linmap.cli.progress import ProgressBar

    paths = {name: str(record.image) for name, record in zip(run.photos.names, run.photos.records, strict=True)}
    captioner: Captioner | None = None
    for one in passes:
        if one.control is None:
            captioner = None  # the model before is given up first
        for answer in one.captions.done:
            _count(answer, paths, unreadable)
        if not one.captions.missing:
            continue
        captioner = captioner or load_seeing(one.model, run.device, run.dtype, features=run.photos.features is not None)
        untrained = nullcontext() if one.control is None else untrained_encoder(captioner, run.seed)
        with untrained, ProgressBar(f"Captioning: {one.name}", one.captions.missing) as bar:
            one.captions.complete(_writing(one, captioner, run, paths, unreadable), bar.advance)


def _writing(one: Pass, captioner: Captioner, run: Run, paths: dict[str, str], unreadable: UnreadableImages) -> Any:
    """From the place of the first missing photo to its caption and all that follow."""

    def write(start: int) -> Iterable[WrittenCaption]:
        names = run.photos.names[start:]
        if run.photos.features is None:
            photos = [record.image for record in run.photos.records[start:]]
            answers = captioned(captioner, photos, names, one.decoding, run.batch_size)
        else:
            features = run.photos.features[start:]
            answers = captioned_features(captioner, features, names, one.decoding, run.batch_size)
        for answer in answers:
            _count(answer, paths, unreadable)
            yield answer

    return write


def _count(answer: WrittenCaption, paths: dict[str, str], unreadable: UnreadableImages) -> None:
    """Counts a photo that cannot be read, once whatever number of captioners could not: it leaves `paths` then."""
    from linmap.errors import UnreadableImageError

    if answer.error is not None and (path := paths.pop(answer.image, None)) is not None:
        unreadable.leave_out(UnreadableImageError(path, answer.error))
