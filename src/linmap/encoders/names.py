"""Names of encoders: a library, a colon, and what that library calls the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from linmap.errors import EncoderError, UnknownNameError

__all__ = ["EncoderName", "parse_name"]

FORMS = {
    "timm": "timm:NAME or timm:NAME.TAG",
    "open_clip": "open_clip:NAME/TAG",
    "hf": "hf:REPO_OR_DIR",
    "wheel": "wheel:efficientnet-lite0",
}


@dataclass(frozen=True)
class EncoderName:
    """A parsed name, `source:id`.

    Args:
        source: A key of `FORMS`.
        id: What that source calls the encoder.
    """

    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.id}"


def parse_name(name: str, forms: Mapping[str, str] = FORMS, kind: str = "image encoder") -> EncoderName:
    """Splits the name of an encoder.

    Args:
        name: As the user wrote it.
        forms: The known prefixes, each with how a name looks behind it.
        kind: What is named, for the messages.

    Raises:
        EncoderError: There is no prefix, or nothing behind it; the message suggests the likely name.
        UnknownNameError: The prefix is not known.

    Example:
        >>> parse_name("timm:resnet50.a1_in1k")
        EncoderName(source='timm', id='resnet50.a1_in1k')
    """
    source, colon, rest = name.partition(":")
    if not colon:
        known = ", ".join(forms.values())
        hint = f"Did you mean {_likely(name, forms)!r}? " if name else ""
        raise EncoderError(f"The {kind} {name!r} does not say where it comes from. {hint}Known forms: {known}.")
    if source not in forms:
        raise UnknownNameError(f"{kind} prefix in {name!r},", source, forms)
    if not rest:
        raise EncoderError(f"The {kind} {name!r} names no encoder. Write {forms[source]}.")
    return EncoderName(source, rest)


def _likely(name: str, forms: Mapping[str, str]) -> str:
    """The name with the prefix that fits: directories and repositories are hf's, `NAME/TAG` of open_clip is its own."""
    if f"wheel:{name}" == forms.get("wheel"):
        return f"wheel:{name}"
    if Path(name).is_dir():
        return f"hf:{name}"
    if "/" not in name:
        return f"timm:{name}" if "timm" in forms else f"hf:{name}"
    import open_clip

    model, _, _ = name.partition("/")
    return f"open_clip:{name}" if model in open_clip.list_models() else f"hf:{name}"
