"""Frames of a video, sampled uniformly: the frames asked for and no others, however the file orders and times them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from PIL import Image

from linmap.data.images import Photo, open_photo
from linmap.errors import ConfigurationError, MissingExtraError, UnreadableVideoError, first_line

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["VIDEO_SUFFIXES", "Video", "is_video", "sample_frames"]

Video: TypeAlias = str | Path | Sequence[Photo]
"""What `sample_frames` samples: a video file, or the photos that are its frames, in their order."""

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
"""What counts as a video by its name; a GIF is a photo."""

FORMATS = ("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "ogg", "asf", "gif")
"""Containers that are read: those with a time for each frame. FFmpeg takes any text for a video, too, and follows lists
of other files; these stay out."""

SEEKABLE = ("mov", "matroska")
"""Containers with a time for each frame wherever one begins to read; in the others times are counted from the start."""

KEPT_SHARE = 0.9
"""A file that holds less than this share of the frames, or of the time, that it announces has been cut off."""


class _Index(NamedTuple):
    """Times of the frames of a video stream in its time base, in the order in which they are shown."""

    times: list[int]
    keyframes: list[int]  # the times at which decoding may begin
    seeks: dict[int, int]  # for each of these, the time under which the container finds it


def is_video(name: str | Path) -> bool:
    """Whether a file is a video by its name."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def sample_frames(video: Video, num_frames: int = 8) -> list[Image.Image]:
    """Frames from the middle of `num_frames` equal parts of `video`, upright, in RGB.

    Of N frames these are the numbers floor((i + 1/2) N / num_frames), counted in the order in which they are shown,
    whatever time each is shown for; a video of fewer frames gives each once. The same file gives the same frames.
    Files are read twice: once for the times of their frames, without decoding any, and once from the keyframes before
    the frames asked for, so that memory holds these frames and a long video takes little more time than a short one.

    Args:
        video: A file that FFmpeg reads (MP4, WebM, Matroska, AVI, MPEG, …; needs the extra `video`), or the photos that
            are its frames, in their order.
        num_frames: At most so many frames, at least 1.

    Raises:
        UnreadableVideoError: There is no such file, it is no video, holds no picture, or is damaged or cut off.
        UnreadableImageError: One of the photos cannot be read.
        MissingExtraError: A video file is given, and PyAV is not installed.
        ConfigurationError: `num_frames` is below 1.

    Example:
        >>> sample_frames("holiday.mp4", num_frames=4)  # doctest: +SKIP
        [<PIL.Image.Image image mode=RGB size=640x360>, …]
    """
    if num_frames < 1:
        raise ConfigurationError(f"num_frames is {num_frames}; it must be at least 1.")
    if not isinstance(video, str | Path):
        if not video:
            raise UnreadableVideoError("a list of frames", "it is empty; name the photos that are the frames")
        return [open_photo(video[number]) for number in _middles(len(video), num_frames)]
    path = _checked(Path(video))
    with _opened(path) as container:
        stream = _video_stream(container, path)
        index = _index(container, stream, path)
    with _opened(path) as container:
        stream = _video_stream(container, path)
        wanted = [index.times[number] for number in _middles(len(index.times), num_frames)]
        return [_upright(frame) for frame in _frames(container, stream, index, wanted, path)]


def _middles(count: int, parts: int) -> list[int]:
    """Numbers of the items in the middle of `parts` equal parts of `count` items; all items where they are fewer."""
    if count <= parts:
        return list(range(count))
    return [(2 * part + 1) * count // (2 * parts) for part in range(parts)]


def _checked(path: Path) -> Path:
    try:
        if path.is_dir():
            raise UnreadableVideoError(str(path), "it is a directory; name a file, or the photos in it as frames")
        if path.stat().st_size == 0:
            raise UnreadableVideoError(str(path), "the file is empty; fetch it again")
    except UnreadableVideoError:
        raise
    except OSError as error:
        raise UnreadableVideoError(str(path), f"it cannot be opened ({error.strerror}); check the path") from error
    return path


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", extra="video") from error
    unknown = "it is no video that is known here, or it is damaged or cut off; give an MP4, WebM, MKV, AVI or MPEG file"
    try:
        # `file:` keeps a name such as `pipe:0` a name, and the list what is in the file from leading to the network
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except PermissionError as error:
        raise UnreadableVideoError(str(path), "you may not read this file; change its permissions") from error
    except av.FFmpegError as error:
        raise UnreadableVideoError(str(path), unknown) from error
    with container:
        if not set(container.format.name.split(",")) & set(FORMATS):
            raise UnreadableVideoError(str(path), unknown)
        try:
            yield container
        except av.FFmpegError as error:
            reason = f"the file is damaged or cut off ({first_line(error)}); fetch it again"
            raise UnreadableVideoError(str(path), reason) from error


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # a cover, not a film
            stream.thread_type = "AUTO"
            return stream
    if len(container.streams) == 0:
        raise UnreadableVideoError(str(path), "the file is damaged or cut off (it lists no streams); fetch it again")
    kinds = ", ".join(sorted({stream.type for stream in container.streams}))
    raise UnreadableVideoError(str(path), f"it holds no video stream, only {kinds}; name a video")


def _index(container: InputContainer, stream: VideoStream, path: Path) -> _Index:
    """Reads the file through, decoding nothing."""
    times: set[int] = set()
    seeks: dict[int, int] = {}
    count, end = 0, 0.0
    for packet in container.demux():
        if packet.size == 0:
            continue
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is not stream:
            continue
        count += 1
        if packet.pts is None:
            raise UnreadableVideoError(str(path), "its frames carry no times; write it anew as MP4 with ffmpeg")
        if packet.is_keyframe:
            seeks[packet.pts] = packet.pts if packet.dts is None else min(packet.pts, packet.dts)
        if not packet.is_discard:
            times.add(packet.pts)
    keyframes = sorted(seeks)
    if container.format.name.partition(",")[0] not in SEEKABLE:
        keyframes = keyframes[:1]
    shown = [time for time in sorted(times) if keyframes and time >= keyframes[0]]
    if not shown:
        raise UnreadableVideoError(str(path), "its video stream holds no frame; fetch it again")
    _check_whole(container, stream, path, count, end)
    return _Index(shown, keyframes, seeks)


def _check_whole(container: InputContainer, stream: VideoStream, path: Path, count: int, end: float) -> None:
    """Compares what was found with what the head of the file announces; some containers announce nothing."""
    if count < KEPT_SHARE * stream.frames:
        found = f"{count} of {stream.frames} frames are there"
    elif container.duration is not None and end < KEPT_SHARE * (seconds := container.duration / 1_000_000):
        found = f"it ends after {end:.1f} of {seconds:.1f} seconds"
    else:
        return
    raise UnreadableVideoError(str(path), f"the file is cut off ({found}); fetch it again")


def _frames(
    container: InputContainer, stream: VideoStream, index: _Index, wanted: Sequence[int], path: Path
) -> Iterator[VideoFrame]:
    """The frame shown at each time of `wanted`, which ascend."""
    shown: VideoFrame | None = None
    upcoming: VideoFrame | None = None
    decoded: Iterator[VideoFrame] = iter(())
    for time in wanted:
        key = index.keyframes[bisect_right(index.keyframes, time) - 1]
        if upcoming is None or key > _time(upcoming):
            decoded = _decoded_from(container, stream, index, key)
            shown, upcoming = None, next(decoded, None)
        while upcoming is not None and _time(upcoming) <= time:
            shown, upcoming = upcoming, next(decoded, None)
        if shown is None:
            raise UnreadableVideoError(str(path), "the file is damaged (a frame is missing); fetch it again")
        yield shown


def _decoded_from(container: InputContainer, stream: VideoStream, index: _Index, key: int) -> Iterator[VideoFrame]:
    """All frames from the keyframe at `key` on, in the order in which they are shown; the first is where a file begins.

    Containers keep the promise to land at or before the time asked for in ways of their own (some by the time of
    decoding, some by the nearest entry of their index), so the keyframe itself is looked for, from farther back where
    it was missed.
    """
    for before in index.keyframes[index.keyframes.index(key) :: -1]:
        if key != index.keyframes[0]:
            container.seek(index.seeks[before], stream=stream)
        packets = container.demux(stream)
        for packet in packets:
            if packet.is_keyframe and packet.pts is not None and packet.pts >= key:
                if packet.pts > key:
                    break
                yield from packet.decode()
                for later in packets:
                    yield from later.decode()
                return


def _time(frame: VideoFrame) -> int:
    """When a frame is shown; one that lost its time comes at once."""
    return -1 if frame.pts is None else frame.pts


def _upright(frame: VideoFrame) -> Image.Image:
    """The picture as players show it: phones write it as the sensor lies, with a note of how to turn it."""
    picture = frame.to_image()
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture
