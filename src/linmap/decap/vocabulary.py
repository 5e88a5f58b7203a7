"""The vocabulary of a decoder: a tokenizer learned from the texts that it is to write, and a decoder that fits one."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from linmap.decap.configuration import paper_decoder
from linmap.errors import ConfigurationError

__all__ = ["fitting_decoder", "train_tokenizer", "write_only"]

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


def write_only(generation: GenerationConfig, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> None:
    """Lets a decoder write what the tokenizer knows, and stop where it says: a larger vocabulary has ids without text.

    Args:
        generation: Changed in place.
        tokenizer: The decoder's.
        vocabulary: Classes of the decoder's head.
    """
    generation.eos_token_id = tokenizer.eos_token_id
    generation.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    generation.bos_token_id = tokenizer.bos_token_id
    if len(tokenizer) < vocabulary:
        generation.suppress_tokens = list(range(len(tokenizer), vocabulary))


def fitting_decoder(decoder: PreTrainedConfig | None, tokenizer: PreTrainedTokenizerBase | None) -> PreTrainedConfig:
    """A decoder's configuration with the vocabulary of its tokenizer; the paper's keeps GPT-2's number of classes."""
    config = paper_decoder() if decoder is None else copy.deepcopy(decoder)
    if tokenizer is None:
        return config
    if decoder is not None:
        config.vocab_size = len(tokenizer)
    elif len(tokenizer) > config.vocab_size:
        raise ConfigurationError(
            f"The tokenizer has {len(tokenizer)} tokens and the paper's decoder {config.vocab_size} classes. Give a "
            "decoder's configuration, which takes the vocabulary of the tokenizer."
        )
    config.bos_token_id = tokenizer.bos_token_id
    config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    return config
