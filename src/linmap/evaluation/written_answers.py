"""Answers kept as they are made, one JSON line a batch of photos: a run that was cut off goes on behind the last."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linmap.errors import OutputFolderError

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
            lines = [] if self._kept else [json.dumps({HEADER: self._identity}, ensure_ascii=False)]
            data = "".join(f"{line}\n" for line in [*lines, json.dumps(facts, ensure_ascii=False)])
            self._write(self.path, data.encode("utf-8", "surrogatepass"))
        self._take(facts)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("r+b" if path.exists() else "w+b") as file:
                file.truncate(self._kept)
                file.seek(self._kept)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputFolderError(
                f"{path} cannot be written ({error.strerror}); name another folder, or make room."
            ) from error
        self._kept += len(data)

    def _take(self, facts: dict[str, Any]) -> None:
        if "unreadable" in facts:
            self.unreadable[str(facts["unreadable"])] = str(facts["reason"])
            return
        row, shots, answers = facts["row"], facts["shots"], facts["answers"]
        if not (isinstance(row, str) and isinstance(shots, int) and isinstance(answers, dict)):
            raise TypeError("no answers of ours")
        self.answers.setdefault((row, shots), {}).update(answers)

    def _read(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise OutputFolderError(f"{path} cannot be read ({error.strerror}); name another folder.") from error
        lines = content.split(b"\n")[:-1]  # behind the last line end stands nothing, or a piece
        if not lines:
            return  # cut off before the first answers
        self._require_identity(_object(lines[0]), path)
        self._kept = len(lines[0]) + 1
        for number, line in enumerate(lines[1:], start=2):
            try:
                self._take(_object(line))
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


def _object(line: bytes) -> dict[str, Any]:
    """The object in a line; {} where there is none."""
    try:
        facts = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
