"""What the bundled models make of photos that may be shown: writes docs/gallery.md and its pictures.

    python -m benchmarks.gallery            half a minute
    python -m benchmarks.gallery --quick    the first two photos, into a folder that is thrown away

The photos are all those of the set under CC BY 2.0, in its order; none is chosen and none left out. What is right and
wrong about a caption is a person's judgement, kept in gallery_remarks.yaml beside the caption it is about: a remark
about another caption than the models write now is refused.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from linmap.cli.messages import quiet_libraries
from linmap.decap.strategies import SupportSentence

REPOSITORY = Path(__file__).resolve().parents[1]
SET = REPOSITORY.parent / "shared" / "data" / "coco_mini"
REMARKS = Path(__file__).with_name("gallery_remarks.yaml")
LICENCE = "http://creativecommons.org/licenses/by/2.0/"
WIDTH = 480
"""Pixels of the longer side of a picture on the page."""


@dataclass(frozen=True)
class Photo:
    """A photo that may be shown, with what people said of it and where it comes from."""

    path: Path
    captions: tuple[str, ...]
    flickr_id: str

    @property
    def coco_id(self) -> str:
        """The number of the photo in COCO."""
        return self.path.stem.lstrip("0")


@dataclass(frozen=True)
class Seen:
    """What the models make of one photo: captions, and which caption of all photos lies nearest to it."""

    photo: Photo
    prefix: str
    decap: str
    support: tuple[SupportSentence, ...]
    nearest: str
    nearest_photo: int
    rank: int
    """Of the best of the photo's own captions among those of all photos, from 1."""


def photos_to_show(folder: Path) -> list[Photo]:
    """The photos of `folder` under CC BY 2.0, in its order.

    Args:
        folder: `images/`, `captions.json` (a list of file and captions) and `licences.json` (by file: license_url,
            flickr_url).

    Raises:
        SystemExit: The folder is not there.
    """
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not here; name a folder with images/, captions.json and licences.json: --data")
    said = {record["file"]: record["captions"] for record in json.loads((folder / "captions.json").read_text())}
    licences = json.loads((folder / "licences.json").read_text())
    return [
        Photo(folder / "images" / file, tuple(said[file]), _flickr_id(licence["flickr_url"]))
        for file, licence in licences.items()
        if licence["license_url"] == LICENCE
    ]


def _flickr_id(url: str) -> str:
    return Path(url).name.partition("_")[0]


def look_at(photos: Sequence[Photo]) -> list[Seen]:
    """Captions `photos` with the bundled captioner and DeCap, and compares them with all captions of all of them.

    In float32: in bfloat16 captions depend on the processor, its threads, and what else is in the batch.
    """
    from linmap import (
        DeCapModel,
        DeCapProcessor,
        DualEncoderModel,
        DualEncoderProcessor,
        LinearVisionPrefixModel,
        LinearVisionPrefixProcessor,
        default_decap,
        default_dual_encoder,
        default_model,
    )
    from linmap.decap import captioning as decap
    from linmap.dual.embedding import embed_photos, embed_texts
    from linmap.prefix.captioning import caption_photos

    paths = [photo.path for photo in photos]
    model = LinearVisionPrefixModel.from_pretrained(default_model(), dtype="float32")
    prefix = caption_photos(model, LinearVisionPrefixProcessor.from_pretrained(default_model()), paths)
    said = [str(answer.caption) for answer in prefix]
    decoder = DeCapModel.from_pretrained(default_decap())
    processor = DeCapProcessor.from_pretrained(default_decap())
    decoded = list(decap.caption_photos(decoder, processor, paths, num_support=3))

    dual = DualEncoderModel.from_pretrained(default_dual_encoder())
    words = DualEncoderProcessor.from_pretrained(default_dual_encoder())
    texts = [(number, caption) for number, photo in enumerate(photos) for caption in photo.captions]
    images, _, _ = embed_photos(dual, words, paths)
    nearest = (images @ embed_texts(dual, words, [caption for _, caption in texts]).T).argsort(dim=1, descending=True)

    seen = []
    for number, photo in enumerate(photos):
        ranked = [texts[row] for row in nearest[number].tolist()]
        rank = 1 + next(place for place, (of, _) in enumerate(ranked) if of == number)
        of, caption = ranked[0]
        answer = decoded[number]
        seen.append(Seen(photo, said[number], str(answer.caption), answer.support, caption, of + 1, rank))
    return seen


def remarks_on(seen: Sequence[Seen], remarks: dict[str, Any]) -> list[dict[str, Any]]:
    """What was written about the captions, one remark a photo.

    Raises:
        SystemExit: A photo has none, or it is about captions that the models do not write now.
    """
    found = []
    for one in seen:
        remark = remarks.get(one.photo.coco_id)
        written = {"prefix": one.prefix, "decap": one.decap}
        if remark is None or any(remark[name]["caption"] != caption for name, caption in written.items()):
            raise SystemExit(
                f"{REMARKS.name} says nothing of these captions of photo {one.photo.coco_id}: {json.dumps(written)}. "
                "Look at the photo, and write there what is right and wrong about them."
            )
        found.append(remark)
    return found


def write_page(docs: Path, seen: Sequence[Seen], remarks: Sequence[dict[str, Any]]) -> None:
    """Writes gallery.md into the folder `docs`, and the pictures into assets/gallery in it."""
    pictures = docs / "assets" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    for one in seen:
        with Image.open(one.photo.path) as picture:
            picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
            picture.convert("RGB").save(pictures / f"{one.photo.coco_id}.jpg", quality=82, optimize=True)
    verdicts = {name: Counter(remark[name]["verdict"] for remark in remarks) for name in ("prefix", "decap")}
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = templates.get_template("gallery.md.jinja").render(
        shown=list(zip(seen, remarks, strict=True)),
        verdicts=verdicts,
        captions=sum(len(one.photo.captions) for one in seen),
        first=sum(one.rank == 1 for one in seen),
        licence=LICENCE,
        width=WIDTH,
    )
    (docs / "gallery.md").write_text(re.sub(r"\n{3,}", "\n\n", page), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line, looks at the photos, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SET, help="folder of photos (default: %(default)s)")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs", help="where the page goes")
    parser.add_argument("--quick", action="store_true", help="two photos, written nowhere")
    given = parser.parse_args(arguments)
    quiet_libraries()
    photos = photos_to_show(given.data)
    seen = look_at(photos[:2] if given.quick else photos)
    for one in seen:
        print(f"{one.photo.coco_id}: {one.prefix} | {one.decap} | rank {one.rank}")
    remarks = remarks_on(seen, yaml.safe_load(REMARKS.read_text(encoding="utf-8")) or {})
    if given.quick:
        with tempfile.TemporaryDirectory() as folder:
            write_page(Path(folder), seen, remarks)
    else:
        write_page(given.docs, seen, remarks)


if __name__ == "__main__":
    main()
