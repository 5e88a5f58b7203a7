"""What a prefix says: for each vector of an image the nearest words of the language model's vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from linmap.data.ahead import photo_pixels
from linmap.data.images import Photo
from linmap.errors import ConfigurationError

if TYPE_CHECKING:
    from linmap.prefix.configuration import LinearVisionPrefixConfig
    from linmap.prefix.modeling import LinearVisionPrefixModel
    from linmap.prefix.processing import LinearVisionPrefixProcessor

__all__ = ["InspectedPrefix", "NearWord", "inspect_photo", "nearest_words"]

EMBEDDED_AT_ONCE = 8192
"""Words whose embeddings are held in float32 at a time: 134 MB for a language model 4096 channels wide."""

RANDOM_DIRECTIONS = 100
"""Directions drawn to tell how near the nearest word is of a vector that says nothing."""


@dataclass(frozen=True, slots=True)
class NearWord:
    """A word near a vector.

    Args:
        text: As the tokenizer spells it, without blanks around it; a token that is part of a character stays as the
            tokenizer writes it.
        id: The token's; of several that are spelt alike (with a blank in front, with a capital) the nearest.
        cosine: Between the vector and the token's input embedding, -1 to 1.
    """

    text: str
    id: int
    cosine: float


@dataclass(frozen=True, slots=True)
class InspectedPrefix:
    """The vectors of one photo, each with its nearest words.

    Args:
        words: For each vector, the nearest first.
        lengths: Of the vectors, Euclidean.
        grid: Rows and columns of the cells the vectors come from, row by row; None for pooled features.
        word_length: Mean Euclidean length of the vocabulary's embeddings.
        chance: Mean cosine between a random direction and its nearest word: what a vector reaches that says nothing.
        centred: Whether the mean of all embeddings was taken away from words and vectors first.
        view: What the encoder was shown: the photo after resizing and cropping.
    """

    words: tuple[tuple[NearWord, ...], ...]
    lengths: tuple[float, ...]
    grid: tuple[int, int] | None
    word_length: float
    chance: float
    centred: bool
    view: Image.Image


def inspect_photo(
    model: LinearVisionPrefixModel,
    processor: LinearVisionPrefixProcessor,
    photo: Photo,
    *,
    top: int = 5,
    centred: bool = False,
) -> InspectedPrefix:
    """Finds the words that the vectors of `photo` lie nearest to, by cosine to the input embeddings.

    The input embeddings, and not the head, because the vectors stand in the text in their place; of a tied language
    model the two are the same. The cosine, and not the distance, because a trained prefix is of another length than
    words are. Words nearer than `chance` are worth reading. A vector need not lie near any word for the language model
    to read it: those of the bundled model do not.

    Args:
        model: With its encoder.
        processor: The model's.
        photo: Path, encoded bytes, or picture.
        top: Words for each vector, at least 1, different in their spelling.
        centred: Take the mean embedding of the vocabulary away from words and vectors first. All embeddings of a
            language model have a large part in common, which says nothing about a word.

    Raises:
        UnreadableImageError: The photo cannot be read.
        ConfigurationError: The model holds no image encoder, or `top` is below 1.

    Example:
        >>> found = inspect_photo(model, processor, "dog.jpg")  # doctest: +SKIP
        >>> [words[0].text for words in found.words]  # doctest: +SKIP
    """
    if top < 1:
        raise ConfigurationError(f"top={top}; give at least one word a vector.")
    if model.encoder is None:
        raise ConfigurationError("This model holds no image encoder: it reads features, not photos. Load it with one.")
    pixels = photo_pixels(photo, processor.image_processor)
    embeddings = model.get_input_embeddings()
    with torch.inference_mode():
        prefix = _prefix(model, pixels)

        def embed(ids: Tensor) -> Tensor:
            return embeddings(ids.to(model.device)).to(prefix.device, torch.float32)

        ids, texts = _vocabulary(model, processor)
        mean, word_length = _mean_and_length(embed, ids)
        middle = mean if centred else torch.zeros_like(mean)
        found = nearest_words(prefix - middle, lambda some: embed(some) - middle, ids, texts, top=top)
        generator = torch.Generator().manual_seed(0)
        random = torch.randn(RANDOM_DIRECTIONS, prefix.shape[1], generator=generator).to(prefix.device)
        aimless = nearest_words(random, lambda some: embed(some) - middle, ids, texts, top=1)
    return InspectedPrefix(
        words=found,
        lengths=tuple(prefix.norm(dim=1).tolist()),
        grid=_grid(model.config),
        word_length=word_length,
        chance=sum(words[0].cosine for words in aimless) / len(aimless),
        centred=centred,
        view=_view(pixels, processor.image_processor),
    )


def nearest_words(
    vectors: Tensor, embed: Callable[[Tensor], Tensor], ids: Tensor, texts: Sequence[str], *, top: int = 5
) -> tuple[tuple[NearWord, ...], ...]:
    """For each vector the words with the highest cosine, different in their spelling.

    Args:
        vectors: (vectors, hidden) float32.
        embed: From ids (words,) int64 to embeddings (words, hidden) float32, on the device of `vectors`.
        ids: (vocabulary,) int64, the words to choose from.
        texts: The spelling of each; words that differ in capitals and blanks around them alone count as one, and the
            nearest of them stands for it.
        top: Words for each vector; fewer where there are not so many spellings.

    Example:
        >>> table, words = torch.eye(3), ["a", " dog", " cat"]
        >>> nearest_words(torch.tensor([[0.0, 2.0, 0.0]]), table.__getitem__, torch.arange(3), words, top=1)
        ((NearWord(text='dog', id=1, cosine=1.0),),)
    """
    directions = functional.normalize(vectors, dim=1)
    cosines = torch.cat([directions @ functional.normalize(embed(some), dim=1).T for some in _parts(ids)], dim=1)
    found = []
    for row in cosines.cpu():
        words: dict[str, NearWord] = {}
        for place in _from_the_highest(row):
            if len(words) == top:
                break
            text = texts[place].strip() or texts[place]
            words.setdefault(text.casefold(), NearWord(text, int(ids[place]), float(row[place])))
        found.append(tuple(words.values()))
    return tuple(found)


def _prefix(model: LinearVisionPrefixModel, pixels: Tensor) -> Tensor:
    """The vectors (vectors, hidden) float32 of pixel values (3, height, width)."""
    prefix = model.get_image_features(pixel_values=pixels[None]).pooler_output
    assert prefix is not None  # it is what the call is for
    return prefix[0].float()


def _from_the_highest(row: Tensor) -> Iterator[int]:
    """Places of `row` (vocabulary,) by falling value; sorts no more than is asked for."""
    given, wanted = 0, 64
    while given < len(row):
        order = row.topk(min(wanted, len(row))).indices.tolist()
        yield from order[given:]
        given, wanted = len(order), wanted * 8


def _parts(ids: Tensor) -> Iterator[Tensor]:
    return iter(ids.split(EMBEDDED_AT_ONCE))


def _vocabulary(model: LinearVisionPrefixModel, processor: LinearVisionPrefixProcessor) -> tuple[Tensor, list[str]]:
    """The ids that are words, and how each is spelt: without the placeholder, and rows that no word belongs to."""
    tokenizer = processor.tokenizer
    rows = model.config.text_config.get_text_config(decoder=True).vocab_size
    raw = tokenizer.convert_ids_to_tokens(list(range(min(rows, len(tokenizer)))))
    known = [number for number, token in enumerate(raw) if token is not None and number != model.config.image_token_id]
    texts = tokenizer.batch_decode([[number] for number in known], clean_up_tokenization_spaces=False)
    spelt = [raw[number] if "\ufffd" in text or not text else text for number, text in zip(known, texts, strict=True)]
    return torch.tensor(known), spelt


def _mean_and_length(embed: Callable[[Tensor], Tensor], ids: Tensor) -> tuple[Tensor, float]:
    """The mean embedding (hidden,) and the mean length of the embeddings."""
    sums, lengths = [], 0.0
    for some in _parts(ids):
        embedded = embed(some)
        sums.append(embedded.double().sum(dim=0) if embedded.device.type != "mps" else embedded.sum(dim=0))
        lengths += float(embedded.norm(dim=1).sum())
    return (torch.stack(sums).sum(dim=0) / len(ids)).float(), lengths / len(ids)


def _grid(config: LinearVisionPrefixConfig) -> tuple[int, int] | None:
    if config.features == "pooled":
        return None
    if config.grid_size is not None:
        return config.grid_size, config.grid_size
    height, width = config.vision_config.grid
    return height, width


def _view(pixels: Tensor, image_processor: Any) -> Image.Image:
    """The picture behind pixel values (3, height, width)."""
    if getattr(image_processor, "do_normalize", False):
        mean, std = (
            torch.tensor(list(each))[:, None, None] for each in (image_processor.image_mean, image_processor.image_std)
        )
        pixels = pixels * std + mean
    scaled = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(scaled.permute(1, 2, 0).contiguous().numpy())
