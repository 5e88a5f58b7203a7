"""Photos encoded once, and captioned by one strategy after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from linmap.errors import CaptionDataError, CaptioningError, ModelNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from linmap.cli.models import DeCap
    from linmap.data.captions import Captioned
    from linmap.data.images import UnreadableImages
    from linmap.decap.memory import SupportMemory

__all__ = [
    "PAPER_NAMES",
    "SeenPhotos",
    "Way",
    "captions_by",
    "decoding_of",
    "load_seeing",
    "memory_of",
    "read_photos",
    "see",
    "ways",
]

PAPER_NAMES = {"projection": "PD", "nearest": "NND", "visual": "VD", "retrieval": "CLIPRe"}
"""What the paper calls the strategies."""


class SeenPhotos(NamedTuple):
    """Photos that could be read.

    Args:
        latents: (photos, latent_dim) float32 on the CPU, L2-normalised.
        references: What people wrote about each.
    """

    latents: Tensor
    references: list[tuple[str, ...]]


class Way(NamedTuple):
    """One way to caption.

    Args:
        strategy: One of `linmap.decap.configuration.STRATEGIES`.
        tau: Of the projection; None for the others.
        memory: What is asked; None for the photo's own latent.
        memory_name: What tables call it.
    """

    strategy: str
    tau: float | None = None
    memory: SupportMemory | None = None
    memory_name: str = ""

    def label(self, *, several: bool) -> str:
        """As the paper calls it, with its temperature, and with its memory where there are several."""
        name = PAPER_NAMES[self.strategy] + ("" if self.tau is None else f" (tau {self.tau:g})")
        return f"{name}, {self.memory_name}" if several and self.memory_name else name

    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        asked = None if self.memory is None else len(self.memory)
        return {"strategy": self.strategy, "tau": self.tau, "memory": self.memory_name or None, "captions": asked}


def load_seeing(name: str, device: str, memory: Path | None = None) -> DeCap:
    """Loads a DeCap model that can see photos; whether it has a memory is asked later, when several may be named.

    Args:
        name: Folder, Hub id, or `"default"` for the bundled one.
        device: As `load_decap` takes it.
        memory: Another memory than the model's own.

    Raises:
        CaptioningError: It holds no image encoder.
        LinmapError: As `load_decap`.
    """
    from linmap.cli.models import load_decap

    loaded = load_decap(name, device, memory=None if memory is None else str(memory), strategy="visual")
    if loaded.model.dual_encoder is None or loaded.model.dual_encoder.image_encoder is None:
        raise CaptioningError(f"{name} holds no image encoder: it takes latents, not photos. Name one that does.")
    return loaded


def memory_of(decap: DeCap, name: str) -> SupportMemory:
    """The memory that a model was loaded with.

    Raises:
        ModelNotFoundError: It has none.
    """
    if decap.model.memory is None:
        raise ModelNotFoundError(
            f"{name} holds no support memory, which PD, NND and CLIPRe ask. linmap memory build makes one: give it "
            "with --memory DIR where the study takes that, or keep it in the model, model.memory = "
            "SupportMemory.from_pretrained(DIR) and model.save_pretrained."
        )
    return decap.model.memory


def read_photos(
    data: Path, images: Path, split: str | None, limit: int | None, unreadable: UnreadableImages
) -> list[Captioned]:
    """The captioned photos of a file, at least two.

    Raises:
        CaptionDataError: There are fewer; and see `read_captions`.
    """
    from linmap.data.captions import read_captions

    captioned = read_captions(data, images, split, unreadable=unreadable)[:limit]
    if len(captioned) < 2:
        raise CaptionDataError(f"CIDEr-D over {len(captioned)} photos means nothing; give at least two.")
    return captioned


def see(decap: DeCap, captioned: list[Captioned], unreadable: UnreadableImages, batch_size: int) -> SeenPhotos:
    """The latents of every readable photo, each computed once, with its references."""
    from linmap.data.encoding import encode_photos

    photos = [record.image for record in captioned]
    image_processor = decap.processor.image_processor
    seen = encode_photos(
        decap.model.encode_images, image_processor, photos, unreadable=unreadable, batch_size=batch_size
    )
    return SeenPhotos(seen.features, [captioned[row].captions for row in seen.rows])


def ways(memories: Iterable[tuple[str, SupportMemory]], taus: Iterable[float]) -> list[Way]:
    """Every strategy with every memory, the projection at every temperature; the photo's own latent once."""
    found = []
    taus = list(taus)
    for name, memory in memories:
        found += [Way("projection", tau, memory, name) for tau in taus]
        found += [Way("nearest", None, memory, name), Way("retrieval", None, memory, name)]
    return [*found, Way("visual")]


def captions_by(
    decap: DeCap, way: Way, how: dict[str, Any], batch_size: int, *, quiet: bool = False
) -> Callable[[Tensor], list[str]]:
    """From the latents of photos to captions: the memory is asked once, then the decoder in batches.

    Args:
        decap: The model.
        way: What is decoded.
        how: As `generate` takes it.
        batch_size: Captions written at a time.
        quiet: Without a progress bar.
    """
    import torch
    from huggingface_hub.utils import tqdm

    from linmap.decap.strategies import latents_to_decode

    model, processor = decap

    def captions(latents: Tensor) -> list[str]:
        latents = latents.to(model.device)
        if way.strategy == "retrieval" and way.memory is not None:
            return [way.memory.captions[row] for row in way.memory.nearest(latents).tolist()]
        tau = model.config.tau if way.tau is None else way.tau
        decoded = latents_to_decode(latents, way.strategy, way.memory, tau)
        written: list[str] = []
        with tqdm(total=len(latents), desc=way.label(several=False), unit="caption", disable=quiet or None) as bar:
            for batch in decoded.split(batch_size):
                with torch.inference_mode():
                    written += processor.caption(model.generate(batch, **how))
                bar.update(len(batch))
        return written

    return captions


def decoding_of(decap: DeCap, num_beams: int | None) -> dict[str, Any]:
    """The settings of `generate` that a report names, the model's own where nothing else is asked."""
    own = decap.model.generation_config
    return {
        "num_beams": num_beams or own.num_beams or 1,
        "do_sample": bool(own.do_sample),
        "max_new_tokens": own.max_new_tokens,
    }
