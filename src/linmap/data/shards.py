"""Captioned photos in tar files, as img2dataset and webdataset lay them out: found, looked through, written.

A shard is looked through by its headers: captions are read, pixels are not. A photo is then one read at a known place.
"""

from __future__ import annotations

import glob
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from typing import BinaryIO

from linmap.data.captions import normalise_caption
from linmap.data.images import PHOTO_SUFFIXES, EncodedPhoto, UnreadableImages
from linmap.data.text_files import is_file, is_folder, is_unicode
from linmap.errors import CaptionDataError, UnreadableImageError, first_line

__all__ = ["LONGEST_TEXT", "ShardSample", "caption_shards", "read_shard"]

LONGEST_TEXT = 1 << 20
"""Bytes of the longest text member that is read: beyond it, it is no caption."""

BLOCK = 512  # bytes, of which a tar file is made
MEMBER = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)")  # key, the first dot, extension: webdataset's rule
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True, slots=True)
class ShardSample:
    """A photo in a shard, by its place, and its caption.

    Args:
        shard: The tar file.
        key: What the names of the sample's members have in common, such as `"000000012"`.
        caption: Not empty.
        member: Name of the photo in the shard.
        offset: Where its bytes begin in the shard.
        size: How many they are.
    """

    shard: Path
    key: str
    caption: str
    member: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        """What errors call the photo."""
        return f"{self.shard}/{self.member}"

    def photo(self) -> EncodedPhoto:
        """Reads the bytes of the photo; they stay encoded.

        Raises:
            UnreadableImageError: The shard is gone, or shorter than it was.
        """
        try:
            with self.shard.open("rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise UnreadableImageError(self.name, f"its shard cannot be read ({error.strerror})") from error
        if len(data) < self.size:
            raise UnreadableImageError(self.name, "its shard is shorter than it was; fetch the shard again")
        return EncodedPhoto(self.name, data)


def caption_shards(source: str | Path) -> list[Path]:
    """The shards that a folder or a pattern names, sorted.

    Args:
        source: A folder: its `*.tar`. Or a path of tar files with braces and wildcards: `cc3m/{00000..00331}.tar`,
            `cc3m/{train,val}-*.tar`.

    Raises:
        CaptionDataError: There is none, or one that is named is not there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for number in range(3):
        ...     (folder / f"{number:05d}.tar").touch()
        >>> [shard.name for shard in caption_shards(folder / "{00001..00002}.tar")]
        ['00001.tar', '00002.tar']
    """
    advice = "give a folder of tar files, or a pattern such as cc3m/{00000..00331}.tar"
    if is_folder(Path(source)):
        found = sorted(path for path in Path(source).glob("*.tar") if path.is_file())
        if not found:
            raise CaptionDataError(f"The folder {source} holds no shards (*.tar); {advice}.")
        return found
    shards: set[Path] = set()
    missing: list[str] = []
    for name in _without_braces(str(source)):
        matches = [name] if is_file(Path(name)) else glob.glob(name)  # noqa: PTH207 - of any folder
        shards |= {Path(match) for match in matches}
        missing += [] if matches else [name]
    if not shards and not missing:
        missing = [str(source)]  # its braces count down
    if missing:
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise CaptionDataError(f"There is no {named}; {advice}.")
    for shard in sorted(shards):
        if shard.suffix != ".tar" or not is_file(shard):
            raise CaptionDataError(f"{shard} is no *.tar (a compressed one cannot be streamed); {advice}.")
    return sorted(shards)


def read_shard(
    shard: Path,
    unreadable: UnreadableImages | None = None,
    *,
    lowercase: bool = False,
    strip_final_period: bool = False,
) -> list[ShardSample]:
    """The samples of one shard in their order; no pixel is read.

    A sample is what lies side by side under one key: a photo (`KEY.jpg` or another of `PHOTO_SUFFIXES`) and its
    caption, `KEY.txt` or else `"caption"` in `KEY.json`. Other members are passed over.

    Args:
        shard: A tar file that is not compressed.
        unreadable: Counts and names what is left out, up to its limit: samples without photo or caption, and what lies
            behind a damaged place of the shard. By default the first one is an error.
        lowercase: Captions in lower case.
        strip_final_period: Captions without the period at their end.

    Raises:
        UnreadableImageError: For the first that is left out, or the first beyond the limit.
        CaptionDataError: There is no such file, or it may not be read.
    """
    samples, errors = look_through(shard, lowercase=lowercase, strip_final_period=strip_final_period)
    if errors:
        (unreadable or UnreadableImages()).leave_out(*errors)
    return samples


def look_through(
    shard: Path, *, lowercase: bool = False, strip_final_period: bool = False
) -> tuple[list[ShardSample], list[UnreadableImageError]]:
    """The samples of one shard, and what is wrong with the others; see `read_shard`."""
    samples: list[ShardSample] = []
    errors: list[UnreadableImageError] = []
    try:
        with shard.open("rb") as file:
            for key, group in groupby(_members(shard, file, errors), key=lambda member: member[0]):
                parts = {extension: info for _, extension, info in group}
                photo = next((parts[one] for one in parts if f".{one}" in PHOTO_SUFFIXES), None)
                if photo is None and not {"txt", "json"} & parts.keys():
                    continue
                name = f"{shard}/{photo.name if photo else key}"
                try:
                    caption = normalise_caption(
                        _caption(parts, file, name), lowercase=lowercase, strip_final_period=strip_final_period
                    )
                    if not caption:
                        raise UnreadableImageError(name, "its caption is empty; caption it or take it out")
                    if photo is None:
                        raise UnreadableImageError(name, "there is a caption and no photo beside it")
                except UnreadableImageError as error:
                    errors.append(error)
                else:
                    samples.append(ShardSample(shard, key, caption, photo.name, photo.offset_data, photo.size))
    except OSError as error:
        if isinstance(error, UnreadableImageError):
            raise
        raise CaptionDataError(f"The shard {shard} cannot be read ({error.strerror}); check the path.") from error
    return samples, errors


def _members(
    shard: Path, file: BinaryIO, errors: list[UnreadableImageError]
) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Key, extension in lower case and place of every plain file in `shard`, up to its end or its first damage.

    Python's tarfile takes a damaged header in the middle for the end of the file, and so would webdataset: the end is
    looked at here, and what is no end is an error.
    """
    length = file.seek(0, 2)
    file.seek(0)
    last = "its first member"
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all it has met
                if info.offset_data + info.size > length:
                    raise tarfile.ReadError(f"{info.name} is not all there")
                last = info.name
                if info.isreg() and (match := MEMBER.fullmatch(info.name)):
                    yield match[1], match[2].lower(), info
            file.seek(tar.offset)
            end = file.read(BLOCK)
            if len(end) < BLOCK:
                raise tarfile.ReadError("its end mark is missing")
            if end.count(0) < BLOCK:
                raise tarfile.ReadError(f"there is no header at byte {tar.offset:,}")
    except tarfile.TarError as error:
        reason = f"the shard is damaged or cut off after {last} ({first_line(error)}); fetch it again"
        errors.append(UnreadableImageError(str(shard), reason))


def _caption(parts: dict[str, tarfile.TarInfo], file: BinaryIO, name: str) -> str:
    """The caption of a sample, without blanks around it."""
    if "txt" in parts:
        return _text(parts["txt"], file, name).strip()
    if "json" not in parts:
        raise UnreadableImageError(name, "it has no caption (KEY.txt, or KEY.json) beside it")
    try:
        said = json.loads(_text(parts["json"], file, name))
    except (RecursionError, ValueError) as error:
        raise UnreadableImageError(name, f"its {parts['json'].name} is no JSON") from error
    caption = said.get("caption") if isinstance(said, dict) else None
    if not isinstance(caption, str) or not is_unicode(caption):
        raise UnreadableImageError(name, f'its {parts["json"].name} holds no text as "caption"')
    return caption.strip()


def _text(info: tarfile.TarInfo, file: BinaryIO, name: str) -> str:
    if info.size > LONGEST_TEXT:
        raise UnreadableImageError(name, f"its {info.name} has {info.size:,} bytes, which is no caption")
    file.seek(info.offset_data)
    try:
        return file.read(info.size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableImageError(name, f"its {info.name} is no text in UTF-8") from error


def _without_braces(pattern: str) -> list[str]:
    """`a{1..3}` and `a{b,c}` written out, as a shell does."""
    literal = BRACES.split(pattern)  # text, what stands in braces, text, …
    choices = [[part] if number % 2 == 0 else _choices(part) for number, part in enumerate(literal)]
    return ["".join(parts) for parts in product(*choices)]


def _choices(inside: str) -> list[str]:
    if match := RANGE.fullmatch(inside):
        first, last = match.groups()
        width = max(len(first), len(last)) if "0" in (first[0], last[0]) else 0
        return [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]
    return inside.split(",") if "," in inside else [f"{{{inside}}}"]
