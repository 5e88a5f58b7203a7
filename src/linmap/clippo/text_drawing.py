"""What pipelines of transformers take for CLIPPO's tokenizer: it draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from linmap.clippo import processing
from linmap.clippo.configuration import ClippoConfig

if TYPE_CHECKING:
    from linmap.clippo.processing import ClippoProcessor

__all__ = ["ClippoTextDrawer"]

OF_THE_HUB = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")


class ClippoTextDrawer:
    """Stands where `pipeline` wants a tokenizer: texts become pictures, and nothing is tokenised.

    `AutoTokenizer.from_pretrained` gives it for a model that reads drawn text, and the tokenizer for one that has one.

    Args:
        processor: What draws.

    Example:
        >>> ClippoTextDrawer(ClippoProcessor())(["a dog"], return_tensors="pt")["text_pixel_values"].shape
        torch.Size([1, 3, 224, 224])
    """

    pad_token_id = 0  # pictures are of one size: nothing is padded
    padding_side = "right"

    def __init__(self, processor: ClippoProcessor) -> None:
        self.processor = processor

    @classmethod
    def from_pretrained(cls, name: str | Path, **kwargs: Any) -> ClippoTextDrawer | PreTrainedTokenizerBase:
        """What reads the texts of a CLIPPO model, from a folder or the Hub."""
        hub = {key: value for key, value in kwargs.items() if key in OF_THE_HUB and value is not None}
        said, _ = processing.ClippoProcessor.get_processor_dict(str(name), **hub)
        if said.get("has_tokenizer"):
            return PreTrainedTokenizerFast.from_pretrained(name, **hub)
        return cls(processing.ClippoProcessor.from_pretrained(name, **hub))

    def save_pretrained(self, folder: str | Path, **kwargs: Any) -> Any:
        """Writes the processor."""
        return self.processor.save_pretrained(folder, **kwargs)

    def __call__(
        self, text: str | Sequence[str], text_pair: str | Sequence[str] | None = None, **kwargs: Any
    ) -> BatchFeature:
        """Draws texts, or pairs of them; what is said of padding and cutting means nothing to pictures.

        Returns:
            `text_pixel_values`; see `ClippoProcessor`.
        """
        return self.processor(text=text, text_pair=text_pair, return_tensors=kwargs.get("return_tensors"))


AutoTokenizer.register(ClippoConfig, tokenizer_class=ClippoTextDrawer, exist_ok=True)
