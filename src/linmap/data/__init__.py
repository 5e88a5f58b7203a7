"""Photos and their captions: reading them safely, and making training batches of them."""

from linmap.data.captions import Captioned, DatasetCaptions, caption_examples, from_dataset, read_captions
from linmap.data.collation import CaptionCollator
from linmap.data.images import EncodedPhoto, UnreadableImages, open_photo

__all__ = [
    "CaptionCollator",
    "Captioned",
    "DatasetCaptions",
    "EncodedPhoto",
    "UnreadableImages",
    "caption_examples",
    "from_dataset",
    "open_photo",
    "read_captions",
]
