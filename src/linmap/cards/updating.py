"""New scores in a card that is there; every other word is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from linmap.cards.card import CARD_FILE
from linmap.cards.eval_results import with_scores
from linmap.cards.stamp import is_untouched, repository_of, stamped, without_stamp
from linmap.errors import ModelCardError

__all__ = ["update_model_card"]


def update_model_card(directory: str | Path, scores: Sequence[Mapping[str, Any]]) -> Path:
    """Writes `scores` into the README.md of a model's folder; returns its path.

    They go into the card's header as `model-index`, where the Hub reads them, and as a table into its section "Scores".
    A score measured in the same way before is replaced, all others stay. Everything else in the card stays as it is,
    byte for byte, whoever wrote it; a card that nobody had edited still counts as one afterwards.

    Args:
        directory: With a README.md.
        scores: As `model_card` takes them, `domain` (of the photos) besides.

    Raises:
        ModelCardError: There is no README.md, it cannot be read or written, or its header is damaged.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "README.md").write_text("# Mine")
        >>> how = {"metric": "CIDEr-D", "dataset": "COCO", "photos": 5000}
        >>> card = update_model_card(folder, [{**how, "value": 54.9}, {**how, "value": 4.0, "control": "blind"}])
        >>> "| CIDEr-D | COCO | 5000 | 54.9 | 4.0 |" in card.read_text().splitlines()
        True
    """
    path = Path(directory) / CARD_FILE
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelCardError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); save the model again, which writes "
            "a card, or mend it."
        ) from error
    untouched, repository = is_untouched(text), repository_of(text)
    text = with_scores(without_stamp(text) if untouched else text, scores, Path(directory).resolve().name, str(path))
    if untouched:
        text = stamped(text, repository)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(text.encode("utf-8"))
        part.replace(path)
    except OSError as error:
        raise ModelCardError(f"{path} cannot be written ({error.strerror}); the scores are not in it.") from error
    return path
