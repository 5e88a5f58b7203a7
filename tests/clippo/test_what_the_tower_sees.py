from __future__ import annotations

import runpy
import sys

from PIL import Image

from linmap import ClippoConfig, ClippoProcessor
from linmap.clippo.image_processing import ClippoImageProcessor


def test_the_example_draws_a_photo_beside_its_sentence_as_a_model_sees_them(repository, tmp_path, monkeypatch, capsys):
    config = ClippoConfig(image_size=48)
    config.save_pretrained(tmp_path / "model")
    ClippoProcessor(ClippoImageProcessor(image_size=48)).save_pretrained(tmp_path / "model")
    words = ["--model", str(tmp_path / "model"), "--text", "a dog", "--figure", str(tmp_path / "seen.png")]
    script = repository / "examples" / "what_the_tower_sees.py"
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert "9 patches each; text is in 2 of them" in said
    assert "characters that do not fit: 0" in said
    with Image.open(tmp_path / "seen.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50
