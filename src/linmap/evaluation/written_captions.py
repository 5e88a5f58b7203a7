"""Captions kept as they are made, one JSON line a photo: a run that was cut off goes on after its last whole batch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linmap.errors import EvaluationError, OutputFolderError
from linmap.evaluation.kept_lines import append_lines, object_in, split_lines

__all__ = ["WrittenCaption", "WrittenCaptions"]

logger = logging.getLogger(__name__)

HEADER = "captions of"


@dataclass(frozen=True, slots=True)
class WrittenCaption:
    """What a captioner wrote about one photo, or why it could not.

    Args:
        image: The photo's name.
        caption: None where `error` is set.
        error: Why the photo could not be read; None where there is a caption.
    """

    image: str
    caption: str | None = None
    error: str | None = None


class WrittenCaptions:
    """The captions of one captioner for the photos `images`, in a file that says what they are of.

    The first line holds `identity`; every further one a photo, in order. Lines are written a batch at a time and forced
    to the disk, so that after a kill the file holds whole batches and perhaps a piece of one more, which is cut off.
    Batches then begin where they would have begun: a run that was cut off writes the same bytes as one that was not.

    Args:
        path: The file, made with its folder at the first batch; None keeps the captions in memory alone.
        identity: JSON-able facts on which a caption depends: model, photos, decoding.
        images: Names of the photos, in order.
        batch_size: Photos captioned at a time.

    Raises:
        OutputFolderError: The file holds the captions of something else, or cannot be read.
        EvaluationError: The batch size is below 1.

    Example:
        >>> written = WrittenCaptions(None, {}, ["a.jpg", "b.jpg"], batch_size=1)
        >>> write = lambda start: [WrittenCaption(name, "a dog") for name in ["a.jpg", "b.jpg"][start:]]
        >>> [one.caption for one in written.complete(write)], written.missing
        (['a dog', 'a dog'], 0)
    """

    def __init__(
        self, path: str | Path | None, identity: Mapping[str, Any], images: Sequence[str], batch_size: int
    ) -> None:
        if batch_size < 1:
            raise EvaluationError(f"The batch size is {batch_size}; it must be at least 1.")
        self.path = None if path is None else Path(path)
        self.images = list(images)
        self.batch_size = batch_size
        self._identity = json.loads(json.dumps(dict(identity)))
        self.done: list[WrittenCaption] = []
        self._kept = 0  # bytes of the file that count
        if self.path is not None and self.path.exists():
            self._read(self.path)

    @staticmethod
    def identity_in(path: str | Path) -> dict[str, Any] | None:
        """What the captions in the file are of, or None where it does not say."""
        try:
            with Path(path).open("rb") as file:
                found = (object_in(file.readline()) or {}).get(HEADER)
        except OSError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def missing(self) -> int:
        """How many photos are still to be captioned."""
        return len(self.images) - len(self.done)

    def complete(
        self,
        write: Callable[[int], Iterable[WrittenCaption]],
        on_photo: Callable[[], object] | None = None,
    ) -> list[WrittenCaption]:
        """Captions the photos that are missing; returns those of all photos.

        Args:
            write: From the place of the first missing photo to what becomes of it and of every one after it.
            on_photo: Called after each.

        Raises:
            EvaluationError: `write` gave another number of captions than there are photos, or of other photos.
            OutputFolderError: The file cannot be written.
        """
        if not self.missing:
            return self.done
        waiting: list[WrittenCaption] = []
        for place, answer in enumerate(write(len(self.done)), start=len(self.done)):
            if place >= len(self.images) or answer.image != self.images[place]:
                raise EvaluationError(f"A caption of {answer.image} came where none was asked for.")
            waiting.append(answer)
            if sum(one.error is None for one in waiting) == self.batch_size:
                self._append(waiting)
                waiting = []
            if on_photo is not None:
                on_photo()
        self._append(waiting)
        if self.missing:
            raise EvaluationError(f"The captioner gave {len(self.done)} captions for {len(self.images)} photos.")
        return self.done

    def start_over(self) -> None:
        """Forgets what the file holds, which is written anew with the first batch."""
        self.done, self._kept = [], 0

    def _append(self, answers: list[WrittenCaption]) -> None:
        self.done += answers
        if self.path is None or not answers:
            return
        header = [] if self._kept else [{HEADER: self._identity}]
        self._kept = append_lines(self.path, self._kept, [*header, *map(_facts, answers)])

    def _read(self, path: Path) -> None:
        lines = split_lines(path)
        if not lines:
            return  # cut off before the first batch
        self._require_identity(object_in(lines[0]), path)
        read: list[WrittenCaption] = []
        for line in lines[1:]:
            facts = object_in(line)
            place = len(read)
            if facts is None or place >= len(self.images) or facts.get("image") != self.images[place]:
                break
            read.append(WrittenCaption(self.images[place], facts.get("caption"), facts.get("error")))
        if unused := len(lines) - 1 - len(read):
            logger.warning("%s: line %d is damaged; it and the %d after it are made anew", path, len(read) + 2, unused)
        whole = len(read) if len(read) == len(self.images) else _whole_batches(read, self.batch_size)
        self.done = read[:whole]
        self._kept = sum(len(line) + 1 for line in lines[: whole + 1])
        if whole < len(read):
            logger.debug("%s: %d captions of a batch that was cut off are made again", path, len(read) - whole)

    def _require_identity(self, header: dict[str, Any] | None, path: Path) -> None:
        found = (header or {}).get(HEADER)
        if not isinstance(found, dict):
            raise OutputFolderError(
                f"{path} does not say what its captions are of, so it was not written by this command. Name another "
                "folder, or take the file away."
            )
        if found == self._identity:
            return
        fact = next(key for key in {**self._identity, **found} if self._identity.get(key) != found.get(key))
        raise OutputFolderError(
            f"{path} holds captions of another run: {fact} was {_shown(found.get(fact))}, and is "
            f"{_shown(self._identity.get(fact))} now. Name another folder, or take the file away to caption anew."
        )


def _whole_batches(read: list[WrittenCaption], batch_size: int) -> int:
    """How many of `read` came before the last place where a batch began."""
    whole = captions = 0
    for count, one in enumerate(read, start=1):
        captions += one.error is None
        if captions % batch_size == 0:
            whole = count
    return whole


def _facts(answer: WrittenCaption) -> dict[str, Any]:
    said = {"caption": answer.caption} if answer.error is None else {"error": answer.error}
    return {"image": answer.image, **said}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
