"""A tokenizer for a decoder from scratch, learned from the texts that it is to write."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from linmap.errors import ConfigurationError

__all__ = ["train_tokenizer"]

PAD, END = "<pad>", "<end>"
SMALLEST = 256 + len((PAD, END))  # every byte, so that there is no text without tokens


def train_tokenizer(
    texts: Iterable[str], vocabulary_size: int, *, lowercase: bool = True, max_length: int = 1024
) -> PreTrainedTokenizerFast:
    """Byte-level byte pair encoding (as GPT-2's) of `texts`, with `<pad>` and `<end>`, and no beginning of text.

    A small vocabulary makes a small decoder: each token costs as many weights as the decoder is wide.

    Args:
        texts: Any number; read once. The same texts in the same order give the same tokenizer.
        vocabulary_size: Tokens, at least 258; fewer come out where the texts hold no more.
        lowercase: Whether capitals are read and written as small letters.
        max_length: `model_max_length` of the tokenizer, in tokens.

    Raises:
        ConfigurationError: The vocabulary is too small.

    Example:
        >>> tokenizer = train_tokenizer(["a dog runs", "a dog sleeps"], 300)
        >>> tokenizer.decode(tokenizer("A dog sleeps").input_ids)
        ' a dog sleeps'
    """
    if vocabulary_size < SMALLEST:
        raise ConfigurationError(
            f"vocabulary_size is {vocabulary_size}; it must be at least {SMALLEST}: one token for each byte, the "
            "padding and the end."
        )
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
