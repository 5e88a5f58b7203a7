"""Answers kept as they are made, one JSON line a batch of photos: a run that was cut off goes on behind the last."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linmap.errors import OutputFolderError
from linmap.evaluation.kept_lines import append_lines, object_in, split_lines

__all__ = ["WrittenAnswers"]

logger = logging.getLogger(__name__)

HEADER = "answers of"


class WrittenAnswers:
    """Answers by row, number of shots and question, in a file that says what they are of.

    Lines are written whole and forced to the disk; a piece of one that a kill left is cut off.

    Args:
        path: The file, made with its folder at the first answers; None keeps them in memory alone.
        identity: JSON-able facts on which an answer depends: model, questions, decoding.

    Raises:
        OutputFolderError: The file holds the answers of something else, or cannot be read.

    Example:
        >>> written = WrittenAnswers(None, {})
        >>> written.add("model", 4, {"17": "red"})
        >>> written.answers["model", 4]["17"], written.has("model", 4, ["17", "18"])
        ('red', False)
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._identity = json.loads(json.dumps(dict(identity)))
        self.answers: dict[tuple[str, int], dict[str, str]] = {}
        self.unreadable: dict[str, str] = {}
        self._kept = 0  # bytes of the file that count
        if path is not None and path.exists():
            self._read(path)

    def has(self, row: str, shots: int, questions: list[str]) -> bool:
        """Whether all of `questions` are answered there."""
        return self.answers.get((row, shots), {}).keys() >= set(questions)

    def add(self, row: str, shots: int, answers: Mapping[str, str]) -> None:
        """Keeps the answers to some questions, by their keys.

        Raises:
            OutputFolderError: The file cannot be written.
        """
        self._append({"row": row, "shots": shots, "answers": dict(answers)})

    def leave_out(self, photo: str, reason: str) -> None:
        """Keeps that the questions about a photo have no answer, since it cannot be read."""
        self._append({"unreadable": photo, "reason": reason})

    def _append(self, facts: dict[str, Any]) -> None:
        if self.path is not None:
            header = [] if self._kept else [{HEADER: self._identity}]
            self._kept = append_lines(self.path, self._kept, [*header, facts])
        self._take(facts)

    def _take(self, facts: dict[str, Any]) -> None:
        if "unreadable" in facts:
            self.unreadable[str(facts["unreadable"])] = str(facts["reason"])
            return
        row, shots, answers = facts["row"], facts["shots"], facts["answers"]
        if not (isinstance(row, str) and isinstance(shots, int) and isinstance(answers, dict)):
            raise TypeError("no answers of ours")
        self.answers.setdefault((row, shots), {}).update(answers)

    def _read(self, path: Path) -> None:
        lines = split_lines(path)
        if not lines:
            return  # cut off before the first answers
        self._require_identity(object_in(lines[0]) or {}, path)
        self._kept = len(lines[0]) + 1
        for number, line in enumerate(lines[1:], start=2):
            try:
                self._take(object_in(line) or {})
            except (KeyError, TypeError):
                behind = len(lines) - number
                logger.warning("%s: line %d is damaged; it and the %d after it are made anew", path, number, behind)
                return
            self._kept += len(line) + 1

    def _require_identity(self, header: dict[str, Any], path: Path) -> None:
        found = header.get(HEADER)
        if not isinstance(found, dict):
            raise OutputFolderError(
                f"{path} does not say what its answers are of, so it was not written by this command. Name another "
                "folder, or take the file away."
            )
        for fact in {**self._identity, **found}:
            was, now = found.get(fact), self._identity.get(fact)
            if was != now:
                raise OutputFolderError(
                    f"{path} holds answers of another run: {fact} was {was!r:.80}, and is {now!r:.80} now. Name "
                    "another folder, or take the file away to answer anew."
                )
