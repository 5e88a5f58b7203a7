"""Photos with their captions or labels: reading them safely, and making training batches of them."""

from linmap.data.captions import Captioned, DatasetCaptions, caption_examples, from_dataset, read_captions
from linmap.data.collation import CaptionCollator
from linmap.data.images import EncodedPhoto, UnreadableImages, open_photo
from linmap.data.labels import Labelled, class_targets, labels_of, read_class_names, read_labelled

__all__ = [
    "CaptionCollator",
    "Captioned",
    "DatasetCaptions",
    "EncodedPhoto",
    "Labelled",
    "UnreadableImages",
    "caption_examples",
    "class_targets",
    "from_dataset",
    "labels_of",
    "open_photo",
    "read_captions",
    "read_class_names",
    "read_labelled",
]
