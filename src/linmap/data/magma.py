"""The folder format of MAGMA's code (arXiv 2112.05253), which LiMBeR's code reads too: a JSON file a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub.utils import tqdm

from linmap.data.captions import Captioned, checked_captions, without_missing
from linmap.data.images import UnreadableImages
from linmap.data.text_files import is_folder, read_json
from linmap.errors import CaptionDataError

__all__ = ["read_magma"]


def read_magma(
    folder: str | Path,
    *,
    lowercase: bool = False,
    strip_final_period: bool = False,
    unreadable: UnreadableImages | None = None,
) -> list[Captioned]:
    """Reads a folder that `convert_dataset` of MAGMA's code wrote, with a progress bar.

    It holds `image_data/*/*.json`, each `{"image_path": "images/0/7.jpg", "captions": ["...", ...], "metadata": {...}}`
    with the path relative to the folder. Where a file names no path, its photo is `images/`, then what leads from
    `image_data` to it, with the suffix `.jpg`, as in the original.

    Args:
        folder: With `images` and `image_data` in it.
        lowercase: Captions in lower case.
        strip_final_period: Captions without the period at their end.
        unreadable: Counts the photos that are missing, which are then left out up to its limit. By default one missing
            photo is an error; the original shows a random other one instead.

    Returns:
        One a JSON file, in the order of their names.

    Raises:
        CaptionDataError: There is no such folder or no JSON file in it, or one is not of that form.
        UnreadableImageError: One photo is missing.
        TooManyUnreadableImagesError: Several are, named and counted.
    """
    folder = Path(folder)
    data = folder / "image_data"
    if not is_folder(data):
        raise CaptionDataError(f"There is no folder {data}; give a folder that holds image_data/*/*.json and images.")
    files = sorted(data.rglob("*.json"))
    if not files:
        raise CaptionDataError(f"The folder {data} holds no *.json; MAGMA's format has one for each photo.")
    options = {"lowercase": lowercase, "strip_final_period": strip_final_period}
    read = [_record(file, folder, options) for file in tqdm(files, desc="Reading captions", unit="photo")]
    return without_missing(read, folder, unreadable if unreadable is not None else UnreadableImages())


def _record(file: Path, folder: Path, options: dict[str, bool]) -> Captioned:
    content: Any = read_json(file, "file of captions", CaptionDataError, 'give {"image_path", "captions"}')
    if not isinstance(content, dict) or not isinstance(content.get("captions"), list):
        raise CaptionDataError(
            f'{file} holds no {{"image_path": "...", "captions": [...]}}, as MAGMA\'s format has it.'
        )
    name = content.get("image_path", str("images" / file.relative_to(folder / "image_data").with_suffix(".jpg")))
    if not isinstance(name, str) or not name.strip():
        raise CaptionDataError(f'{file}: "image_path" is {name!r}; expected the path of a photo below {folder}.')
    return Captioned(folder / name, checked_captions(content["captions"], str(file), options))
