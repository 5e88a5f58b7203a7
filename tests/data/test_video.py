from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from linmap.data import video as video_module
from linmap.data.video import VIDEO_SUFFIXES, is_video, sample_frames
from linmap.errors import ConfigurationError, UnreadableImageError, UnreadableVideoError

SIZE = (64, 48)
STEP = 4  # grey levels from one frame to the next: more than any codec here mistakes


def grey(number: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), (16 + STEP * number) % 256, np.uint8)


def write_video(
    file: Path,
    codec: str = "libx264",
    *,
    frames: int = 40,
    times: Sequence[int] | None = None,
    pixels: str = "yuv420p",
    b_frames: int | None = None,
    muxer: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
    rotation: int = 0,
    noise: bool = False,
) -> Path:
    """A video whose frame n is grey of level 16 + 4 n, shown at `times` (milliseconds), else at 25 a second."""
    base = Fraction(1, 1000) if times else Fraction(1, 25)
    with av.open(str(file), "w", options=muxer or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=encoder or {})
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixels
        stream.codec_context.gop_size = 12
        stream.codec_context.time_base = base
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            picture = grey(number)
            if noise:
                picture = np.random.default_rng(number).integers(0, 256, picture.shape, dtype=np.uint8)
            elif rotation:
                picture[: SIZE[1] // 2] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (times[number] if times else number), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def numbers(pictures: list[Image.Image]) -> list[int]:
    return [round((float(np.asarray(picture).mean()) - 16) / STEP) for picture in pictures]


KINDS: dict[str, dict[str, Any]] = {
    "h264_with_b_frames.mp4": {"b_frames": 3},
    "h264_with_b_frames.mkv": {"b_frames": 3},
    "h264_with_b_frames.ts": {"b_frames": 3},
    "mpeg4_with_b_frames.avi": {"codec": "mpeg4", "b_frames": 2},
    "mpeg2_with_b_frames.mpg": {"codec": "mpeg2video", "b_frames": 2},
    "vp8.webm": {"codec": "libvpx", "encoder": {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "realtime"}},
    "vp9.webm": {"codec": "libvpx-vp9", "encoder": {"deadline": "realtime", "cpu-used": "8"}},
    "fragments.mp4": {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
    "animation.gif": {"codec": "gif", "pixels": "rgb8"},
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("count", [1, 3, 8, 40])
def test_the_frames_are_the_ones_in_the_middle_of_equal_parts(tmp_path, name, count):
    file = write_video(tmp_path / name, **KINDS[name])
    with av.open(str(file)) as container:
        every = [np.asarray(frame.to_image()) for frame in container.decode(video=0)]
    wanted = [int((part + 0.5) * 40 / count) for part in range(count)]
    pictures = sample_frames(file, num_frames=count)
    assert len(every) == 40
    assert [np.array_equal(picture, every[n]) for picture, n in zip(pictures, wanted, strict=True)] == [True] * count


def test_the_colours_are_those_that_were_written(tmp_path):
    assert numbers(sample_frames(write_video(tmp_path / "a.mp4"), num_frames=4)) == [5, 15, 25, 35]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_count_alike_however_long_each_is_shown(tmp_path, suffix):
    times = [0, 40, 80, 1000, 1040, 1500, 3000, 3010, 3020, 9000]
    file = write_video(tmp_path / f"a{suffix}", frames=10, times=times, b_frames=2)
    assert numbers(sample_frames(file, num_frames=10)) == list(range(10))
    assert numbers(sample_frames(file, num_frames=5)) == [1, 3, 5, 7, 9]


def test_a_video_with_fewer_frames_gives_each_once(tmp_path):
    assert numbers(sample_frames(write_video(tmp_path / "a.mp4", frames=3), num_frames=8)) == [0, 1, 2]


def test_the_same_file_gives_the_same_frames_as_a_path_and_as_text(tmp_path):
    file = write_video(tmp_path / "a.mp4")
    first, second = sample_frames(file, 5), sample_frames(str(file), 5)
    assert [picture.tobytes() for picture in first] == [picture.tobytes() for picture in second]
    assert {picture.mode for picture in first} == {"RGB"}


def test_a_few_frames_of_a_long_video_are_had_without_decoding_the_rest(tmp_path, monkeypatch):
    file = write_video(tmp_path / "a.mp4", frames=600, encoder={"preset": "ultrafast"})
    decoded = []
    frames_from = video_module._decoded_from

    def counting(*arguments):
        for frame in frames_from(*arguments):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(video_module, "_decoded_from", counting)
    assert len(sample_frames(file, 4)) == 4
    assert len(decoded) <= 4 * (12 + 1)


def test_a_video_that_is_noted_as_turned_comes_upright(tmp_path):
    file = write_video(tmp_path / "a.mp4", frames=2, rotation=90)
    (picture, _) = sample_frames(file)
    assert picture.size == (SIZE[1], SIZE[0])
    # what was above lies left after a quarter turn against the clock
    left, right = np.asarray(picture)[:, :16].mean(), np.asarray(picture)[:, -16:].mean()
    assert left > 200 > 100 > right


def test_a_list_of_photos_is_sampled_as_a_video_of_them_is(tmp_path):
    files = []
    for number in range(40):
        files.append(tmp_path / f"{number:03d}.png")
        Image.fromarray(grey(number)).save(files[-1])
    assert numbers(sample_frames(files, 4)) == [5, 15, 25, 35]
    assert numbers(sample_frames([str(file) for file in files[:3]], 4)) == [0, 1, 2]
    with pytest.raises(UnreadableImageError, match=r"nowhere\.png"):
        sample_frames([files[0], tmp_path / "nowhere.png"])


def test_no_frames_are_refused():
    with pytest.raises(UnreadableVideoError, match=r"^Cannot read a list of frames: it is empty; name the photos"):
        sample_frames([])


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_frame_is_refused(count):
    with pytest.raises(ConfigurationError, match=rf"^num_frames is {count}; it must be at least 1\.$"):
        sample_frames("nowhere.mp4", count)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(UnreadableVideoError, match=r"a\.mp4: it cannot be opened \(No such file or directory\); check"):
        sample_frames(tmp_path / "a.mp4")
    with pytest.raises(UnreadableVideoError, match=r"it is a directory; name a file, or the photos in it as frames\.$"):
        sample_frames(tmp_path)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UnreadableVideoError, match=r"empty\.mp4: the file is empty; fetch it again\.$"):
        sample_frames(tmp_path / "empty.mp4")


@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.srt"])
@pytest.mark.parametrize(
    "text", ["hello there\n" * 50, "#EXTM3U\n#EXTINF:9,\nb.ts\n", "ffconcat version 1.0\nfile b.ts\n"]
)
def test_text_is_no_video_and_a_playlist_opens_no_other_file(tmp_path, name, text):
    write_video(tmp_path / "b.ts")
    (tmp_path / name).write_text(text)
    with pytest.raises(
        UnreadableVideoError, match=r"it is no video that is known here, or it is damaged or cut off; give"
    ):
        sample_frames(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(UnreadableVideoError, match=r"it holds no video stream, only audio; name a video\.$"):
        sample_frames(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("name", "how", "wanted"),
    [
        ("head_last.mp4", {}, r"is damaged or cut off|known here, or it is damaged or cut off"),
        ("head_first.mp4", {"muxer": {"movflags": "faststart"}}, r"the file is cut off \(\d+ of 40 frames are there\)"),
        ("a.avi", {"codec": "mpeg4"}, r"the file is cut off \(\d+ of 40 frames are there\)"),
        ("a.mkv", {}, r"the file is cut off \(it ends after 0\.\d of 1\.6 seconds\)"),
        ("a.webm", {"codec": "libvpx"}, r"the file is cut off \(it ends after 0\.\d of 1\.6 seconds\)"),
    ],
)
def test_a_file_that_was_cut_off_is_refused(tmp_path, name, how, wanted):
    whole = write_video(tmp_path / name, noise=True, **how).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableVideoError, match=wanted) as refused:
        sample_frames(tmp_path / name)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith("; fetch it again.") or "give an MP4" in str(refused.value)


def test_a_file_damaged_in_the_middle_is_refused(tmp_path):
    file = write_video(tmp_path / "a.mp4", noise=True)
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 4 : len(whole) // 2] = bytes(len(whole) // 2 - len(whole) // 4)
    file.write_bytes(whole)
    with pytest.raises(UnreadableVideoError, match=r"a\.mp4: the file is damaged or cut off \(.+\); fetch it again\.$"):
        sample_frames(file, 40)


def test_a_video_stream_without_frames_is_refused(tmp_path):
    file = write_video(tmp_path / "a.mp4", frames=3, muxer={"movflags": "frag_keyframe+empty_moov"})
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.index(b"moof") - 4])  # the head alone
    with pytest.raises(UnreadableVideoError, match=r"its video stream holds no frame; fetch it again\.$"):
        sample_frames(file)


def test_names_with_percent_signs_colons_and_bytes_that_are_no_text_are_names(tmp_path):
    for name in ("a%03d.mp4", "pipe:0", "http:b.mp4", "c\udcff.mp4"):
        video = write_video(tmp_path / "plain.mp4", frames=3).rename(tmp_path / name)
        assert numbers(sample_frames(video)) == [0, 1, 2]


def test_videos_are_told_by_their_names():
    assert all(suffix == suffix.lower() for suffix in VIDEO_SUFFIXES)
    assert is_video("holiday.MP4")
    assert not is_video("holiday.gif")
    assert not is_video("mp4")


def test_without_pyav_the_extra_is_named(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"any")
    script = (
        "import sys; sys.modules['av'] = None\n"
        "from linmap.data.video import sample_frames\n"
        "from linmap.errors import MissingExtraError\n"
        f"try: sample_frames({str(tmp_path / 'a.mp4')!r})\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "av is not installed. Run: python -m pip install 'linmap[video]'\n"
