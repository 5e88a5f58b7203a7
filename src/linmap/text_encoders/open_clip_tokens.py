"""open_clip's tokenizers as transformers': CLIP's own byte pairs, or one from the Hub with open_clip's cleaning."""

from __future__ import annotations

import functools
import gzip
from typing import Any

from transformers import AutoTokenizer, CLIPTokenizer, PreTrainedTokenizerBase

from linmap.encoders.open_clip_files import model_config
from linmap.errors import BackboneError, first_line

__all__ = ["clip_tokenizer", "open_clip_pad_token_id", "open_clip_tokenizer"]

MERGES = 48_894  # of the 262,144 in the file: 49,408 tokens less 512 bytes and the two special tokens
CLIP_PADDING = 0  # what open_clip's own tokenizer fills its rows with
PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^`{|}~]"""


def open_clip_tokenizer(architecture: str) -> PreTrainedTokenizerBase:
    """The tokenizer of an open_clip architecture.

    Raises:
        BackboneError: It comes from the Hub and cannot be had here, or open_clip prepares its texts in a way that is
            not known here.
    """
    text = model_config(architecture)["text_cfg"]
    named = text.get("hf_tokenizer_name") or text.get("hf_model_name")
    if named is None:
        return clip_tokenizer()
    how = dict(text.get("tokenizer_kwargs") or {})
    clean = how.pop("clean", "whitespace")
    if how or clean not in ("whitespace", "canonicalize"):
        raise BackboneError(
            f"open_clip prepares texts for {architecture!r} with {text['tokenizer_kwargs']}, which linmap's tokenizer "
            "does not. Tokenize with open_clip.get_tokenizer, or give the processor a tokenizer."
        )
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(named)
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"There is no tokenizer at {named!r}, which open_clip's {architecture!r} uses: {first_line(error)} "
            "Connect, or give the processor one."
        ) from error
    if clean == "canonicalize":
        _canonicalize(tokenizer)
    return tokenizer


def open_clip_pad_token_id(architecture: str) -> int | None:
    """What open_clip pads texts with; None where its tokenizer cannot be had here."""
    try:
        tokenizer = open_clip_tokenizer(architecture)
    except BackboneError:
        return None  # an error where padding is needed, which says so
    return CLIP_PADDING if isinstance(tokenizer, CLIPTokenizer) else tokenizer.pad_token_id


def _canonicalize(tokenizer: Any) -> None:
    """Lower case, no ASCII punctuation, single blanks, as SigLIP was trained (big_vision's prompt_engineering)."""
    from tokenizers import Regex, normalizers

    backend = tokenizer.backend_tokenizer
    steps = [
        normalizers.Replace("_", " "),
        normalizers.Replace(Regex(PUNCTUATION), ""),
        normalizers.Lowercase(),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    backend.normalizer = normalizers.Sequence(steps + ([backend.normalizer] if backend.normalizer else []))


@functools.cache
def _clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens and merges of CLIP's byte-pair encoding, from the file that open_clip brings along."""
    from open_clip.tokenizer import bytes_to_unicode, default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : MERGES + 1]
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, merges


def clip_tokenizer() -> PreTrainedTokenizerBase:
    """CLIP's own byte-pair tokenizer, 49,408 tokens, made from the vocabulary that open_clip brings along.

    The ids are those of `open_clip.tokenize` but for its padding (0, where this has end-of-text with a mask), for what
    open_clip mends first with ftfy (HTML entities, broken encodings, curly quotes, ligatures, full-width letters), and
    for the words of its special tokens in a text, which are taken for these here.
    """
    vocabulary, merges = _clip_vocabulary()
    pairs: Any = list(merges)  # declared as texts, and read as pairs
    return CLIPTokenizer(vocab=dict(vocabulary), merges=pairs, model_max_length=77)
