"""Captions to tokens, as scores need them: the PTB tokenizer of the COCO evaluation (Java), or a plain one without."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from linmap.errors import MissingExtraError, MissingJavaError, UnknownNameError

__all__ = ["TOKENIZERS", "tokenise", "tokenise_lists"]

TOKENIZERS = ("ptb", "simple")

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def tokenise(captions: Sequence[str], tokenizer: str = "ptb") -> list[str]:
    """Lower-case tokens of each caption, without punctuation, joined by blanks.

    Args:
        captions: One text each; line breaks count as blanks.
        tokenizer: `"ptb"`: Stanford's PTBTokenizer 3.4.1, the one published scores use, as pycocoevalcap ships it;
            needs Java. `"simple"`: runs of letters and digits; needs nothing, and its scores compare with
            no published ones.

    Raises:
        UnknownNameError: No such tokenizer.
        MissingJavaError: `"ptb"` without Java.
        MissingExtraError: `"ptb"` without pycocoevalcap.

    Example:
        >>> tokenise(["A dog's ball, isn't it?"], "simple")
        ["a dog's ball isn't it"]
    """
    if tokenizer not in TOKENIZERS:
        raise UnknownNameError("tokenizer", tokenizer, TOKENIZERS)
    lines = [" ".join(caption.splitlines()) for caption in captions]
    if tokenizer == "simple":
        return [" ".join(_WORD.findall(line.lower())) for line in lines]
    return _ptb(lines)


def tokenise_lists(lists: Sequence[Sequence[str]], tokenizer: str = "ptb") -> list[list[str]]:
    """`tokenise` over lists of captions, all in one run: Java starts once."""
    tokens = iter(tokenise([caption for captions in lists for caption in captions], tokenizer))
    return [[next(tokens) for _ in captions] for captions in lists]


def _ptb(lines: list[str]) -> list[str]:
    """Runs the jar of pycocoevalcap over standard input; its own wrapper writes into the installed package instead."""
    try:
        from pycocoevalcap.tokenizer import ptbtokenizer
    except ImportError as error:
        raise MissingExtraError("pycocoevalcap", extra="eval") from error
    if not lines:
        return []
    java = shutil.which("java")
    if java is None:
        raise MissingJavaError(
            "PTB tokenisation needs Java, and there is no `java` on the PATH. Install a Java runtime, 8 or newer "
            "(apt install default-jre-headless; brew install openjdk), or take the tokenizer 'simple', whose scores "
            "compare only with each other."
        )
    jar = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    command = [java, "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    command += ["-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
    run = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", check=False)
    out = run.stdout.split("\n")[: len(lines)]
    if run.returncode != 0 or run.stdout.count("\n") < len(lines):
        said = run.stderr.strip().splitlines() or ["nothing"]
        raise MissingJavaError(
            f"Java ran the PTB tokenizer and failed (exit code {run.returncode}): {said[-1]} Try `java -version`; "
            "a Java runtime, 8 or newer, is needed."
        )
    dropped = frozenset(ptbtokenizer.PUNCTUATIONS)
    return [" ".join(word for word in line.rstrip().split(" ") if word not in dropped) for line in out]
