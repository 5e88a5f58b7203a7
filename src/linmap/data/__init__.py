"""Photos with their captions or labels: reading them safely, and making training batches of them."""

from linmap.data.captions import Captioned, DatasetCaptions, caption_examples, from_dataset, read_captions
from linmap.data.collation import CaptionCollator
from linmap.data.images import EncodedPhoto, UnreadableImages, open_photo
from linmap.data.labels import Labelled, class_targets, labels_of, read_class_names, read_labelled
from linmap.data.language_captions import read_language_captions
from linmap.data.mixed_pairs import MixedPairCollator
from linmap.data.pairs import DualPairCollator, pair_examples, photo_ids

__all__ = [
    "CaptionCollator",
    "Captioned",
    "DatasetCaptions",
    "DualPairCollator",
    "EncodedPhoto",
    "Labelled",
    "MixedPairCollator",
    "UnreadableImages",
    "caption_examples",
    "class_targets",
    "from_dataset",
    "labels_of",
    "open_photo",
    "pair_examples",
    "photo_ids",
    "read_captions",
    "read_class_names",
    "read_labelled",
    "read_language_captions",
]
