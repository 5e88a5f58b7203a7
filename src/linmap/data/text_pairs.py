"""Pairs of texts that mean about the same, for contrastive learning beside photos (arXiv 2212.08045).

Two captions of a photo, two sentences that follow one another, a sentence in two languages, a sentence and itself with
words left out. What is random about a pair follows from one number, so that a resumed run meets the same pairs.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from linmap.data.captions import Captioned
from linmap.data.left_out import LeftOut
from linmap.data.pairs import number_of_text
from linmap.data.stored_texts import StoredTexts, joined
from linmap.errors import CaptionDataError, MissingExtraError, TextPairError

__all__ = ["CaptionPairs", "SentencePairs", "TextPair", "TextPairs", "Translations", "WordDropout", "read_translations"]

LOOKED_THROUGH = 1000
"""Documents in a row that may be too short for a pair; beyond them the source is taken for no running text."""


class TextPair(NamedTuple):
    """Two texts that belong together.

    Args:
        first: Stands where a photo would.
        second: The text that belongs to it.
        group: Pairs of the same group are never each other's negatives.
    """

    first: str
    second: str
    group: int


class TextPairs(ABC):
    """Rows that a pair of texts can be drawn from, again and again."""

    @abstractmethod
    def __len__(self) -> int:
        """Rows."""

    @abstractmethod
    def pair(self, row: int, draw: int) -> TextPair:
        """One pair of a row.

        Args:
            row: In `range(len(self))`.
            draw: Decides what is random about it; the same number gives the same pair.
        """


class CaptionPairs(TextPairs):
    """Two captions of one photo, another two each time; a row is a photo.

    Args:
        photos: Those whose captions are all the same are passed over.
        groups: Of each photo the number that its pairs have as their group, such as its `image_id`.

    Raises:
        CaptionDataError: No photo has two captions.

    Example:
        >>> pairs = CaptionPairs([Captioned(Path("a.jpg"), ("a dog", "a brown dog"))], [7])
        >>> sorted(pairs.pair(0, draw=1)[:2]), pairs.pair(0, draw=1).group
        (['a brown dog', 'a dog'], 7)
    """

    def __init__(self, photos: Sequence[Captioned], groups: Sequence[int]) -> None:
        several = ((list(dict.fromkeys(photo.captions)), group) for photo, group in zip(photos, groups, strict=True))
        self._rows = [(captions, group) for captions, group in several if len(captions) > 1]
        if not self._rows:
            raise CaptionDataError(
                f"None of the {len(photos)} photos has two captions that differ, so there is no pair of captions; take "
                "another kind of text pairs."
            )

    def __len__(self) -> int:
        return len(self._rows)

    def pair(self, row: int, draw: int) -> TextPair:
        """Two captions of the photo, drawn at random."""
        captions, group = self._rows[row]
        first, second = random.Random(draw).sample(captions, 2)
        return TextPair(first, second, group)


class SentencePairs(TextPairs):
    """Two sentences that follow one another in a document; a row is a document, cut when its turn comes.

    A document of one sentence is passed over: the pair is then drawn from the next that has two.

    Args:
        documents: As `read_documents` gives them.
        language: By whose rules they are cut, such as `"en"`; sentencex knows about 300, and falls back to a relative
            or to English.

    Raises:
        MissingExtraError: `sentencex` is not installed.
        TextPairError: No document among the first thousand has two sentences.

    Example:
        >>> pairs = SentencePairs(["Dr. Dog ran. It barked."])
        >>> pairs.pair(0, draw=1)[:2]
        ('Dr. Dog ran.', 'It barked.')
    """

    def __init__(self, documents: Sequence[str], language: str = "en") -> None:
        try:
            import sentencex  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("sentencex", extra="data") from error
        self._documents = documents
        self._language = language
        self.pair(0, 0)

    def __len__(self) -> int:
        return len(self._documents)

    def pair(self, row: int, draw: int) -> TextPair:
        """Two sentences of the document, the first of them drawn at random."""
        for further in range(min(LOOKED_THROUGH, len(self))):
            found = self._sentences(self._documents[(row + further) % len(self)])
            if len(found) > 1:
                place = random.Random(draw).randrange(len(found) - 1)
                return _grouped(found[place], found[place + 1])
        raise TextPairError(
            f"None of {min(LOOKED_THROUGH, len(self)):,} documents from number {row + 1} on has two sentences. Give "
            "running text: paragraphs, or a document in each row."
        )

    def _sentences(self, document: str) -> list[str]:
        import sentencex

        text = document.encode(errors="replace").decode()  # half characters, which a table may hold, are refused there
        return [sentence for piece in sentencex.segment(self._language, text) if (sentence := piece.strip())]


class Translations(TextPairs):
    """A sentence in two languages, in either order; a row is a line.

    Args:
        first: The one side.
        second: The other, line by line.

    Example:
        >>> from linmap.data.stored_texts import joined
        >>> pairs = Translations(joined([b"a dog"]), joined([b"ein Hund"]))
        >>> sorted(pairs.pair(0, draw=1)[:2])
        ['a dog', 'ein Hund']
    """

    def __init__(self, first: StoredTexts, second: StoredTexts) -> None:
        self._sides = (first, second)

    def __len__(self) -> int:
        return len(self._sides[0])

    def pair(self, row: int, draw: int) -> TextPair:
        """Both sides; which of them is the first is drawn at random."""
        texts = [side[row] for side in self._sides]
        pair = _grouped(*texts)
        return pair if draw % 2 else TextPair(pair.second, pair.first, pair.group)


class WordDropout(TextPairs):
    """A sentence and itself with words left out, others each time, in either order; a row is a sentence.

    Args:
        sentences: The sentences.
        groups: Of each the number of its group, such as the `image_id` of a caption's photo; None: equal sentences
            are of one group.
        drop: Share of the words that are left out, each by itself; of two and more at least one is, and one stays.

    Example:
        >>> pairs = WordDropout(["a brown dog runs"], drop=0.5)
        >>> sorted(pairs.pair(0, draw=5)[:2], key=len)
        ['a brown dog', 'a brown dog runs']
    """

    def __init__(self, sentences: Sequence[str], groups: Sequence[int] | None = None, *, drop: float = 0.25) -> None:
        self._sentences = sentences
        self._groups = groups
        self._drop = drop

    def __len__(self) -> int:
        return len(self._sentences)

    def pair(self, row: int, draw: int) -> TextPair:
        """The sentence, and the sentence without some words.

        Raises:
            TextPairError: The sentence is empty.
        """
        chance, sentence = random.Random(draw), self._sentences[row]
        words = sentence.split()
        if not words:
            raise TextPairError(f"Sentence {row + 1} is empty, so it has no words to leave out; give sentences alone.")
        kept = [word for word in words if chance.random() >= self._drop]
        if len(words) > 1 and len(kept) == len(words):
            del kept[chance.randrange(len(kept))]
        shorter = " ".join(kept or [chance.choice(words)])
        group = _grouped(sentence, "").group if self._groups is None else self._groups[row]
        return TextPair(sentence, shorter, group) if draw % 2 else TextPair(shorter, sentence, group)


def read_translations(path: str | Path, left_out: LeftOut) -> Translations:
    """Translation pairs from a TSV file: two columns, a text in each, no quoting.

    Args:
        path: UTF-8, a pair a line.
        left_out: Counts the lines that are damaged, and where they stood: no UTF-8, other than two columns, an empty
            column, empty lines.

    Raises:
        TextPairError: There is no such file, it cannot be read, or it holds no pair.
    """
    sides: tuple[list[bytes], list[bytes]] = ([], [])
    try:
        with Path(path).open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                texts = [text.strip() for text in line.rstrip(b"\r\n").split(b"\t")]
                if reason := _why_damaged(texts):
                    left_out.add(reason, f"{path}:{number}")
                    continue
                for side, text in zip(sides, texts, strict=True):
                    side.append(text)
    except FileNotFoundError:
        raise TextPairError(f"There is no file of translations {path}; check the path.") from None
    except OSError as refused:
        raise TextPairError(f"{path} cannot be read ({refused.strerror}); name a TSV file.") from refused
    if not sides[0]:
        found = f": {left_out}" if left_out.counts else ""
        raise TextPairError(f"{path} holds no pair of translations{found}. Give a text, a tab and a text a line.")
    return Translations(joined(sides[0]), joined(sides[1]))


def _why_damaged(texts: Sequence[bytes]) -> str | None:
    if not any(texts):
        return "empty"
    if len(texts) != 2:
        return "without two columns"
    try:
        words = [text.decode().strip() for text in texts]  # wide and unbreakable spaces are no text, either
    except UnicodeDecodeError:
        return "undecodable"
    return None if all(words) else "with an empty column"


def _grouped(first: str, second: str) -> TextPair:
    """The pair in a group of its own, below zero, which no photo has."""
    return TextPair(first, second, -1 - number_of_text(f"{first}\n{second}"))
