"""A name says where an encoder comes from; a name that does not is met with the likely one."""

from __future__ import annotations

from pathlib import Path

import pytest

from linmap.encoders.names import EncoderName, parse_name
from linmap.errors import EncoderError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("timm:resnet50x16_clip.openai", EncoderName("timm", "resnet50x16_clip.openai")),
        ("open_clip:RN50/openai", EncoderName("open_clip", "RN50/openai")),
        ("hf:microsoft/beit-base", EncoderName("hf", "microsoft/beit-base")),
        ("hf:/some/folder:with-colon", EncoderName("hf", "/some/folder:with-colon")),
        ("wheel:efficientnet-lite0", EncoderName("wheel", "efficientnet-lite0")),
    ],
)
def test_a_name_is_a_source_and_an_id(name: str, parsed: EncoderName):
    assert parse_name(name) == parsed
    assert str(parsed) == name


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("resnet50", "timm:resnet50"),
        ("RN50/openai", "open_clip:RN50/openai"),
        ("google/vit-base-patch16-224", "hf:google/vit-base-patch16-224"),
        ("efficientnet-lite0", "wheel:efficientnet-lite0"),
    ],
)
def test_a_name_without_a_source_gets_the_likely_one(name: str, likely: str):
    with pytest.raises(EncoderError, match=rf"does not say where it comes from\. Did you mean '{likely}'\?"):
        parse_name(name)


def test_a_folder_without_a_source_is_suggested_as_one(tmp_path: Path):
    with pytest.raises(EncoderError, match=rf"Did you mean 'hf:{tmp_path}'\?"):
        parse_name(str(tmp_path))


def test_an_unknown_source_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"'tim:resnet50', 'tim'\. Did you mean 'timm'\? Known: hf, open_clip,"):
        parse_name("tim:resnet50")


@pytest.mark.parametrize("name", ["timm:", "hf:"])
def test_a_source_alone_is_no_name(name: str):
    with pytest.raises(EncoderError, match=rf"'{name}' names no encoder\. Write "):
        parse_name(name)
