"""Shows what CLIPPO's tower sees: a photo, and beside it the sentence about it, drawn, each with the grid of patches.

    python examples/what_the_tower_sees.py
    python examples/what_the_tower_sees.py my-photo.jpg --text "a red car" --figure seen.png
    python examples/what_the_tower_sees.py --model runs/clippo

No weights are needed: how photos and texts become pixels is written in a model's configuration. Without `--model` it is
that of the paper's ViT-B/16.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linmap import ClippoConfig, ClippoProcessor, render_text
from linmap.clippo.image_processing import ClippoImageProcessor
from linmap.data.images import open_photo

PHOTO = Path(__file__).parent / "photos" / "cat.jpg"
TEXT = "A white cat eats from a bowl, and a green bird from a cup beside it."
INK = {"color": "tab:orange", "linewidth": 0.6}


def draw(sides: list[tuple[str, NDArray[np.uint8]]], patch_size: int, path: Path) -> None:
    """Writes the pictures side by side, cut into patches, each under its words."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(sides), 5.6), dpi=72, facecolor="white", layout="constrained")
    for axes, (words, picture) in zip(figure.subplots(1, len(sides)), sides, strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        for edge in range(0, len(picture) + 1, patch_size):
            axes.axhline(edge - 0.5, **INK)
            axes.axvline(edge - 0.5, **INK)
        axes.set_title(words, fontsize=12)
        axes.set(xticks=[], yticks=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Parses the command line, makes both pictures, writes them, says how many patches hold what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", type=Path, default=PHOTO)
    parser.add_argument("--text", default=TEXT, help="the sentence that is drawn")
    parser.add_argument("--model", help="folder or Hub id; default: the settings of the paper")
    parser.add_argument("--figure", type=Path, default=Path("what-the-tower-sees.png"), help="where the picture goes")
    parser.add_argument("--output", type=Path, help="folder that it goes into instead")
    parser.add_argument("--quick", action="store_true", help="changes nothing: it takes a second")
    arguments = parser.parse_args()
    figure = arguments.output / arguments.figure.name if arguments.output else arguments.figure

    # 1. How a model sees: its configuration says it, and its processor does it.
    if arguments.model:
        config = ClippoConfig.from_pretrained(arguments.model)
        photos = ClippoProcessor.from_pretrained(arguments.model).image_processor
    else:
        config = ClippoConfig()
        photos = ClippoImageProcessor(image_size=config.image_size)

    # 2. The photo, squeezed into the square; its values are in [-1, 1], and go back to what is shown on a screen.
    pixels = photos(images=[open_photo(arguments.photo)], return_tensors="np")["pixel_values"][0]
    photo = np.round((np.asarray(pixels) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)

    # 3. The text, as an image of the same size.
    (drawn,), overflow = render_text(
        arguments.text, config.image_size, return_overflow=True, **(config.text_renderer or {})
    )

    patches = config.image_size // config.patch_size
    cells = drawn.reshape(patches, config.patch_size, patches, config.patch_size)
    inked = int((cells != drawn[-1, -1]).any(axis=(1, 3)).sum())
    print(f"{config.num_patches} patches each; text is in {inked} of them")
    print(f"characters that do not fit: {int(overflow.cut[0] + overflow.hidden[0])}")
    draw([(arguments.photo.name, photo), ("the sentence", drawn)], config.patch_size, figure)
    print(figure)


if __name__ == "__main__":
    main()
