"""Several captioners by name, each captioning the photos once, and what its captions depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from linmap.cli.model_names import BUNDLED, named_words
from linmap.errors import CaptioningError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig

    from linmap.cli.models import Captioner
    from linmap.data.feature_store import FeatureStore
    from linmap.data.images import Photo
    from linmap.evaluation import WrittenCaption

__all__ = [
    "NamedModel",
    "captioned",
    "captioned_features",
    "decoding_of",
    "generation_config",
    "load_seeing",
    "model_digest",
    "named_models",
    "require_features",
    "untrained_encoder",
]

FILES_OF_A_MODEL = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
FOLDERS_OF_A_MODEL = ("encoder", "language_model")


class NamedModel(NamedTuple):
    """A captioner as a table names it.

    Args:
        name: What it is called in the table.
        word: Folder or Hub id; None for the bundled one.
        folder: Where it lies.
    """

    name: str
    word: str | None
    folder: Path

    @property
    def shown(self) -> str:
        """What a report says it is."""
        return self.word or "the bundled model"


def named_models(words: Sequence[str]) -> list[NamedModel]:
    """The captioners after `--model`: `NAME=MODEL`, or `MODEL`, which is called as its folder.

    Args:
        words: None at all is the bundled model, which also answers to `default`.

    Raises:
        ModelNotFoundError: A name is none, or two captioners have the same; a folder is not there or holds no
            captioner.
    """
    from linmap.cli.models import model_folder, read_config

    found = []
    for name, word in named_words(words or [BUNDLED], "captioner"):
        place = None if word == BUNDLED else word
        folder = model_folder(place)
        read_config(folder)  # a wrong one is said before the hours, not after them
        found.append(NamedModel(name, place, folder))
    return found


def model_digest(folder: Path) -> str:
    """One digest of everything in a model's folder that a caption depends on; its card is not among it.

    Frozen parts that lie elsewhere are told by the digests in its configuration.
    """
    from linmap.weights.identity import sha256_of

    files = [folder / name for name in FILES_OF_A_MODEL] + sorted(folder.glob("*.safetensors"))
    for part in FOLDERS_OF_A_MODEL:
        files += sorted(path for path in (folder / part).rglob("*") if path.suffix in (".json", ".safetensors"))
    lines = [f"{sha256_of(file)}  {file.relative_to(folder)}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def generation_config(model: NamedModel) -> GenerationConfig:
    """How a model decodes by itself, read without loading it.

    Raises:
        ModelNotFoundError: The file is damaged, or there is none.
    """
    from transformers import GenerationConfig

    from linmap.cli.models import one_line

    with one_line(model.folder):
        return GenerationConfig.from_pretrained(model.folder)


def decoding_of(own: GenerationConfig, num_beams: int | None) -> dict[str, Any]:
    """The settings of `generate`, those that the model leaves open filled in as `linmap caption` does."""
    from linmap.prefix.captioning import MAX_NEW_TOKENS

    how: dict[str, Any] = {
        "num_beams": num_beams or own.num_beams or 1,
        "do_sample": bool(own.do_sample),
        "max_new_tokens": own.max_new_tokens or MAX_NEW_TOKENS,
    }
    unsaid: dict[str, tuple[Any, ...]] = {
        "length_penalty": (None, 1.0),
        "repetition_penalty": (None, 1.0),
        "no_repeat_ngram_size": (None, 0),
        "min_new_tokens": (None, 0),
    }
    return how | {name: getattr(own, name) for name, plain in unsaid.items() if getattr(own, name) not in plain}


def load_seeing(model: NamedModel, device: str, dtype: str, *, features: bool) -> Captioner:
    """Loads a captioner that can see photos or, without its encoder, features of them.

    Raises:
        CaptioningError: It holds no image encoder, and is to see photos.
        LinmapError: As `load_captioner`.
    """
    from linmap.cli.models import load_captioner

    captioner = load_captioner(model.word, device, dtype, encoder=False if features else None)
    if captioner.model.encoder is None and not features:
        raise CaptioningError(
            f"{model.shown} holds no image encoder: it reads features, not photos. Name one that does, or give the "
            "features of the photos: --features DIR, which linmap features extract writes."
        )
    return captioner


def require_features(model: NamedModel, store: FeatureStore) -> None:
    """Checks that the features are those that a model was trained with.

    Raises:
        FeatureMismatchError: They are of another encoder, preprocessing or pooling.
        CaptioningError: The model does not say which encoder it was trained with, or has its own, which learned.
    """
    from linmap.cli.models import one_line, require_processor
    from linmap.prefix.configuration import LinearVisionPrefixConfig
    from linmap.prefix.encoding import feature_identity
    from linmap.prefix.processing import LinearVisionPrefixProcessor

    require_processor(model.folder)
    with one_line(model.folder):
        config = LinearVisionPrefixConfig.from_pretrained(model.folder)
        processor = LinearVisionPrefixProcessor.from_pretrained(model.folder)
    if config.vision_config is None or config.trained_encoder:
        lacks = config.vision_config is None
        why = "does not say which encoder it was trained with" if lacks else "has an encoder of its own, which learned"
        raise CaptioningError(f"{model.shown} {why}: {store.directory} cannot be known to hold its features.")
    wanted = feature_identity(
        config.vision_config, processor.image_processor, features=config.features, grid_size=config.grid_size
    )
    store.identity.require(wanted, str(store.directory))


def captioned(
    captioner: Captioner, photos: Sequence[Photo], names: Sequence[str], how: dict[str, Any], batch_size: int
) -> Iterator[WrittenCaption]:
    """What becomes of each photo, in order.

    Args:
        captioner: The model on its device, and its processor.
        photos: The photos.
        names: What each is called.
        how: As `generate` takes it.
        batch_size: Photos captioned at a time.
    """
    from linmap.evaluation import WrittenCaption
    from linmap.prefix.captioning import caption_photos

    _begin(how)
    answers = caption_photos(captioner.model, captioner.processor, photos, batch_size=batch_size, **how)
    for name, answer in zip(names, answers, strict=True):
        if answer.error is not None:
            yield WrittenCaption(name, error=getattr(answer.error, "reason", str(answer.error)))
        else:
            yield WrittenCaption(name, answer.caption)


def captioned_features(
    captioner: Captioner, features: Sequence[Tensor], names: Sequence[str], how: dict[str, Any], batch_size: int
) -> Iterator[WrittenCaption]:
    """The same from features that were extracted before; see `captioned`."""
    from linmap.evaluation import WrittenCaption
    from linmap.prefix.captioning import caption_features

    _begin(how)
    answers = caption_features(captioner.model, captioner.processor, features, batch_size=batch_size, **how)
    return map(WrittenCaption, names, answers)


def _begin(how: dict[str, Any]) -> None:
    """The same command gives the same captions, also of a model that draws them."""
    import torch

    if how["do_sample"]:
        torch.manual_seed(0)


@contextmanager
def untrained_encoder(captioner: Captioner, seed: int) -> Iterator[None]:
    """Inside the block the captioner sees through an encoder of the same architecture that never learned.

    Args:
        captioner: Whose encoder is put back at the end.
        seed: Of the random weights.
    """
    from linmap.encoders import load_encoder

    trained = captioner.model.encoder
    assert trained is not None  # `load_seeing` says so
    captioner.model.encoder = load_encoder(
        trained.fingerprint.name,
        pretrained=False,
        seed=seed,
        image_size=trained.config.image_size,
        dtype=trained.dtype,
        device=trained.device,
    )
    try:
        yield
    finally:
        captioner.model.encoder = trained
