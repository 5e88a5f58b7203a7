"""METEOR 1.5 (Denkowski and Lavie 2014), by the jar that pycocoevalcap ships; it loads its tables in 10 s or so."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from linmap.errors import MissingExtraError, MissingJavaError
from linmap.evaluation.cider import Score, require_pairs
from linmap.evaluation.tokenisation import tokenise_lists

__all__ = ["meteor", "meteor_of_tokens"]


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Scores one caption a photo by the words, stems, synonyms and paraphrases it shares with what people wrote.

    Captions are PTB-tokenised, as for published scores; METEOR is Java itself, so there is no way around it.

    Args:
        candidates: One caption a photo.
        references: At least one a photo; the best counts.

    Returns:
        0 to 100; `value` is made of the statistics of all photos together, not the mean of `per_image`.

    Raises:
        CaptionDataError: The numbers differ, there is no photo, or a photo has no reference.
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: There is no Java, or it failed.

    Example:
        >>> print(meteor(["a dog runs"], [["a dog is running", "grass"]]))  # doctest: +SKIP
        31.2
    """
    require_pairs(candidates, references, at_least=1)
    ours, *theirs = tokenise_lists([candidates, *references], "ptb")
    [[(value, per_image)]] = _scores([ours], theirs, [range(len(ours))])
    return Score(value, tuple(per_image), "ptb")


def meteor_of_tokens(
    captions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], sets: Sequence[Sequence[int]]
) -> list[list[float]]:
    """The scores of several captioners on sets of the same photos, Java started once for all.

    Args:
        captions: For each captioner its tokenised captions, one a photo.
        references: At least one a photo, tokenised likewise.
        sets: The places of the photos of each set, at least one.

    Returns:
        For each captioner the score of each set, 0 to 100, of the statistics of its photos together.

    Raises:
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: There is no Java, or it failed.
    """
    return [[value for value, _ in of] for of in _scores(captions, references, sets)]


def java_for_meteor() -> str:
    """Where Java is.

    Raises:
        MissingJavaError: There is none.
    """
    java = shutil.which("java")
    if java is None:
        raise MissingJavaError(
            "METEOR needs Java, and there is no `java` on the PATH. Install a Java runtime, 8 or newer (apt install "
            "default-jre-headless; brew install openjdk), or measure the other metrics."
        )
    return java


def _scores(
    captions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], sets: Sequence[Sequence[int]]
) -> list[list[tuple[float, list[float]]]]:
    """For each captioner the score of each set, and of each caption of it.

    The jar is run here, and not by pycocoevalcap's wrapper, which waits for ever when Java dies.

    Args:
        captions: For each captioner its tokenised captions, one a photo.
        references: At least one a photo, tokenised likewise.
        sets: The places of the photos of each set.

    Raises:
        MissingExtraError: pycocoevalcap is not installed.
        MissingJavaError: There is no Java, or it failed.
    """
    try:
        from pycocoevalcap.meteor import meteor
    except ImportError as error:
        raise MissingExtraError("pycocoevalcap", extra="eval") from error
    java = java_for_meteor()
    jar = Path(meteor.__file__).with_name(meteor.METEOR_JAR)
    command = [java, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        run = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, encoding="utf-8", cwd=jar.parent
        )
        try:
            return [_score(run, candidates, references, sets) for candidates in captions]
        except (OSError, ValueError) as error:
            run.kill()
            run.wait()
            said.seek(0)
            lines = said.read().strip().splitlines() or ["nothing"]
            raise MissingJavaError(
                f"Java ran METEOR and failed (exit code {run.returncode}): {lines[-1]} It needs 2 GB of memory."
            ) from error
        finally:
            run.kill()
            run.communicate()


def _score(
    run: subprocess.Popen[str],
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    sets: Sequence[Sequence[int]],
) -> list[tuple[float, list[float]]]:
    statistics = [
        _ask(run, " ||| ".join(["SCORE", *map(_line, texts), _line(candidate)]))
        for candidate, texts in zip(candidates, references, strict=True)
    ]
    return [_evaluated(run, [statistics[place] for place in places]) for places in sets]


def _evaluated(run: subprocess.Popen[str], statistics: Sequence[str]) -> tuple[float, list[float]]:
    """The score of photos by their statistics, and of each."""
    answers = [_ask(run, " ||| ".join(["EVAL", *statistics]))] + [_answer(run) for _ in statistics]
    *per_image, value = (100 * float(answer) for answer in answers)
    return value, per_image


def _ask(run: subprocess.Popen[str], question: str) -> str:
    assert run.stdin is not None  # it was opened so
    run.stdin.write(f"{question}\n")
    run.stdin.flush()
    return _answer(run)


def _answer(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None  # it was opened so
    line = run.stdout.readline()
    if not line:
        raise OSError("no answer")
    return line.strip()


def _line(text: str) -> str:
    """A caption without the sign that stands between captions."""
    return " ".join(text.replace("|||", " ").split())
