"""Every exception linmap raises on purpose: each says what was found, what is on offer and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

__all__ = [
    "BackboneError",
    "CaptionDataError",
    "CaptioningError",
    "ChecksumError",
    "ConfigurationError",
    "ConversionError",
    "EncoderError",
    "EvaluationError",
    "FeatureMismatchError",
    "FeatureStoreError",
    "FingerprintMismatchError",
    "FontError",
    "ImageCountError",
    "LabelDataError",
    "LinmapError",
    "MemoryMismatchError",
    "MissingExtraError",
    "MissingJavaError",
    "ModelCardError",
    "ModelNotFoundError",
    "OutputFolderError",
    "PhotoNotFoundError",
    "ProjectionError",
    "QuestionDataError",
    "RecipeError",
    "RenderingError",
    "SharingError",
    "SupportMemoryError",
    "TextPairError",
    "TooManyUnreadableImagesError",
    "UnavailableDeviceError",
    "UnknownNameError",
    "UnreadableImageError",
    "UnreadableVideoError",
    "WeightsUnavailableError",
    "first_line",
]


def first_line(error: BaseException) -> str:
    """What an error of a library below says, in one line: its first, or its name where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class LinmapError(Exception):
    """Base of all errors raised on purpose; the command line prints them as one line, without a traceback."""

    def __reduce__(self) -> tuple[object, ...]:
        """Comes out of a worker process as it was raised there, whatever its class takes to be made."""
        return _revived, (type(self), self.args, self.__dict__)


def _revived(kind: type[LinmapError], words: tuple[object, ...], facts: dict[str, object]) -> LinmapError:
    error = kind.__new__(kind, *words)
    error.args = words
    error.__dict__.update(facts)
    return error


class UnknownNameError(LinmapError, ValueError):
    """A word that is not among the known ones; the message suggests the closest and lists all."""

    def __init__(self, what: str, name: str, known: Collection[str], meant: Sequence[str] = ()) -> None:
        close = meant or difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        super().__init__(f"Unknown {what} {name!r}.{hint} Known: {', '.join(sorted(known))}.")


class WeightsUnavailableError(LinmapError, OSError):
    """Weights that were asked for cannot be had here; they are never replaced by random ones."""


class ChecksumError(LinmapError, ValueError):
    """A file is not the pinned one."""

    def __init__(self, file: str, found: str, expected: str) -> None:
        super().__init__(
            f"{file} is damaged or another file: its sha256 is {found}, expected {expected}. "
            "It was not kept; run again to fetch it anew."
        )


class FingerprintMismatchError(LinmapError, ValueError):
    """A frozen part was found under its name, but it is not the one the projection was trained with."""

    def __init__(self, name: str, fact: str, found: str, expected: str) -> None:
        super().__init__(
            f"{name!r} is not what this checkpoint was trained with: {fact} found {found}, expected {expected}. "
            "Name the revision or file it was trained with, or train the projection again."
        )


class EncoderError(LinmapError, ValueError):
    """An image encoder cannot be had or used as asked; the message says what to do."""


class RecipeError(LinmapError, ValueError):
    """A training recipe cannot be read, or one of its values cannot be used."""


class OutputFolderError(LinmapError, FileExistsError):
    """The output folder of a training run holds something that would be lost, or nothing that can be gone on from."""


class ConfigurationError(LinmapError, ValueError):
    """Settings that do not fit together; the message says which, and what would."""


class ImageCountError(LinmapError, ValueError):
    """The text has places for more or fewer images than were given."""


class BackboneError(LinmapError, OSError):
    """A frozen part that a checkpoint names cannot be found or loaded; it is never replaced by random weights."""


class ProjectionError(LinmapError, ValueError):
    """A projection that is missing, or does not fit between its encoder and its language model."""


class CaptioningError(LinmapError, ValueError):
    """Photos cannot be captioned as asked: the batch size, the model or the memory does not allow it."""


class ConversionError(LinmapError, ValueError):
    """A checkpoint of other software cannot be converted; the message says what was found in it and what was needed."""


class PhotoNotFoundError(LinmapError, FileNotFoundError):
    """A word on the command line names no photo: no such file, an empty folder, a pattern without a match."""


class UnavailableDeviceError(LinmapError, ValueError):
    """A known kind of device that this machine does not have."""


class ModelNotFoundError(LinmapError, OSError):
    """A model that was named is neither a folder of ours nor to be had from the Hub."""


class SharingError(LinmapError, OSError):
    """A model cannot be put on the Hub; the message says what the Hub holds now and what to do."""


class ModelCardError(LinmapError, ValueError):
    """A model card cannot be added to; the message says why and what to do. The scores are not lost with it."""


class UnreadableImageError(LinmapError, OSError):
    """A photo cannot be read; `image` is its path, `reason` why and what to do."""

    def __init__(self, image: str, reason: str) -> None:
        self.image = image
        self.reason = reason
        super().__init__(f"Cannot read {image}: {reason}.")


class UnreadableVideoError(LinmapError, OSError):
    """A video cannot be read; `video` is its path, `reason` why and what to do."""

    def __init__(self, video: str, reason: str) -> None:
        self.video = video
        self.reason = reason
        super().__init__(f"Cannot read {video}: {reason}.")


class TooManyUnreadableImagesError(LinmapError, OSError):
    """More photos cannot be read than the user allowed to leave out; names them."""

    def __init__(self, images: Sequence[str], limit: int) -> None:
        named = ", ".join(images[:5]) + (f" and {len(images) - 5} more" if len(images) > 5 else "")
        super().__init__(
            f"{len(images)} photos cannot be read, at most {limit} may be left out: {named}. "
            "Fetch them again, take them out of the file that names them, or allow more to be left out."
        )


class CaptionDataError(LinmapError, ValueError):
    """Captions, or the examples made from them, are not as they must be; the message says which one and what to do."""


class LabelDataError(LinmapError, ValueError):
    """Labels of photos are not as they must be; the message says which and what to do."""


class QuestionDataError(LinmapError, ValueError):
    """Questions about photos, or their answers, are not as they must be; the message says which and what to do."""


class EvaluationError(LinmapError, ValueError):
    """Embeddings, targets or names cannot be measured as they are; the message says which and what to do."""


class TextPairError(LinmapError, ValueError):
    """Texts that should come in pairs do not."""


class MissingExtraError(LinmapError, ImportError):
    """A package of one of linmap's extras is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. Run: python -m pip install 'linmap[{extra}]'")


class MissingJavaError(LinmapError, RuntimeError):
    """PTB tokenisation runs in Java, and there is none."""


class SupportMemoryError(LinmapError, ValueError):
    """A support memory cannot be made, read, built on or asked as it is; the message says which part and what to do."""


class MemoryMismatchError(LinmapError, ValueError):
    """The latents of a support memory come from another text tower than the model's."""

    def __init__(self, found: str, needed: str) -> None:
        super().__init__(
            f"The memory holds latents of the text tower {found}, and the model needs those of {needed}: their "
            "cosines would mean nothing. Build one with the model's own tower: linmap memory build CAPTIONS --model "
            "MODEL --output DIR."
        )


class FeatureStoreError(LinmapError, ValueError):
    """Stored features of photos cannot be written, read or gone on with as they are; the message says what to do."""


class FeatureMismatchError(LinmapError, ValueError):
    """Stored features are not what the model would make of the photos; the message names each difference."""

    def __init__(self, directory: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"The features in {directory} are not those of this model: {'; '.join(differences)}. Extract them with it: "
            "linmap features extract … --recipe RECIPE (or --model DIR) --output DIR."
        )


class FontError(LinmapError, ValueError):
    """A font's file cannot be read, or is none of the form that was expected."""


class RenderingError(LinmapError, ValueError):
    """Settings that no text can be drawn with, or something to draw that is no text."""
