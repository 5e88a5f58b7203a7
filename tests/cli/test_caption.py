from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import photo


@pytest.fixture
def zoo(tmp_path: Path) -> dict[str, Path]:
    """One file of every kind that goes wrong in practice; the last five cannot be captioned."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    frames = [photo(seed) for seed in (3, 4, 5)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    photo(6).convert("CMYK").save(folder / "cmyk.jpg")
    grey = np.random.default_rng(7).integers(0, 65536, (30, 40), dtype=np.uint16)
    Image.fromarray(grey).save(folder / "sixteen_bit.png")
    rotated = Image.Exif()
    rotated[0x0112] = 6  # turn by 90 degrees to see it upright
    photo(8).save(folder / "rotated.jpg", exif=rotated)
    photo(9, 1, 1).save(folder / "one_pixel.png")
    photo(10, 30_000, 40).save(folder / "wide.png")
    photo(11, 30_000, 2).save(folder / "strip.png")
    (folder / "text.jpg").write_text("this is no photo")
    photo(12, 400, 300).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:3000])
    (folder / "empty.jpg").touch()
    good = ("animated.gif", "cmyk.jpg", "sixteen_bit.png", "rotated.jpg", "one_pixel.png", "wide.png")
    bad = ("strip.png", "text.jpg", "cut.jpg", "empty.jpg", "missing.jpg")
    return {name: folder / name for name in (*good, *bad)}


BAD = {
    "strip.png": "a strip more than 1000 times as long as it is narrow; crop it first",
    "text.jpg": "it holds text, whatever its name says",
    "cut.jpg": "the file is damaged or cut off",
    "empty.jpg": "the file is empty",
    "missing.jpg": "there is no such file; check the path",
}


def test_every_photo_of_a_folder_gets_a_line_in_order(linmap, model_dir, photos):
    ran = linmap("caption", photos, "--model", model_dir)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(photos / name) for name in ("a.jpg", "b.png", "c.jpg")]
    assert all(line.split(": ", 1)[1].strip() for line in lines)


def test_json_is_one_object_a_line_and_nothing_else(linmap, model_dir, photos):
    ran = linmap("caption", photos, "--model", model_dir, "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [set(record) for record in records] == [{"image", "caption"}] * 3
    assert (ran.code, ran.err) == (0, "")


def test_bad_photos_cost_only_their_own_caption(linmap, model_dir, photos, zoo):
    mixed = [zoo["text.jpg"], photos / "a.jpg", *list(zoo.values())[:8], photos / "b.png", *list(zoo.values())[8:]]
    ran = linmap("caption", *mixed, "--model", model_dir, "--json", "--batch-size", "3")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 2
    assert [record["image"] for record in records] == [str(file) for file in mixed]
    assert [Path(record["image"]).name in BAD for record in records] == ["error" in record for record in records]
    alone = linmap("caption", photos / "a.jpg", photos / "b.png", "--model", model_dir, "--json")
    expected = {record["image"]: record["caption"] for record in map(json.loads, alone.out.splitlines())}
    assert expected.items() <= {record["image"]: record.get("caption") for record in records}.items()


def test_each_bad_photo_is_one_line_with_its_path_and_what_to_do(linmap, model_dir, zoo):
    files = [zoo[name] for name in BAD]
    ran = linmap("caption", *files, "--model", model_dir)
    assert (ran.code, ran.out) == (2, "")
    lines = ran.err.splitlines()
    assert len(lines) == len(files)
    for line, (name, reason) in zip(lines, BAD.items(), strict=True):
        assert line.startswith("linmap: error: ")
        assert str(zoo[name]) in line
        assert reason in line


def test_the_same_photo_twice_and_two_photos_of_one_name_are_each_answered(linmap, model_dir, photos, tmp_path):
    other = tmp_path / "other" / "a.jpg"
    other.parent.mkdir()
    shutil.copy(photos / "b.png", other)
    words = [photos / "a.jpg", other, photos / "a.jpg"]
    ran = linmap("caption", *words, "--model", model_dir, "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [record["image"] for record in records] == [str(word) for word in words]
    assert records[0] == records[2]


def test_words_that_name_no_photo_are_said_without_loading_a_model(linmap, tmp_path):
    ran = linmap("caption", tmp_path, tmp_path / "*.jpg", "--model", "nowhere", "--json")
    assert ran.code == 2
    assert [json.loads(line)["image"] for line in ran.out.splitlines()] == [str(tmp_path), str(tmp_path / "*.jpg")]
    assert [line.split(": ", 3)[3] for line in ran.err.splitlines()] == [
        "no photo in this folder (a file ending in .avif .bmp .gif .jfif .jpeg .jpg .png .tif .tiff .webp); "
        "folders below are not read.",
        "nothing matches this pattern; check it.",
    ]


def test_generation_follows_the_options(linmap, model_dir, photos):
    shortest = linmap("caption", photos, "--model", model_dir, "--json", "--max-new-tokens", "1").out
    beams = linmap("caption", photos, "--model", model_dir, "--json", "--num-beams", "3").out
    plain = linmap("caption", photos, "--model", model_dir, "--json").out
    prompted = linmap("caption", photos, "--model", model_dir, "--json", "--prompt", "a dog").out
    assert len({shortest, beams, plain, prompted}) == 4


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_number_format_can_be_named(linmap, model_dir, photos, dtype):
    assert linmap("caption", photos, "--model", model_dir, "--device", "cpu", "--dtype", dtype).code == 0


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--device", "gpu", "Unknown device 'gpu'. Did you mean 'cpu'? Known: auto, cpu, cuda"),
        ("--device", "cuda:99", "This machine has no device 'cuda:99'. It has: "),
        ("--dtype", "fp16", "Unknown dtype 'fp16'."),
        ("--model", "no/such/folder", "There is no folder 'no/such/folder'. Name a folder that"),
        ("--model", "no-such-owner/no-such-model", "No checkpoint at 'no-such-owner/no-such-model'"),
        ("--model", __file__, "is a file. Name the folder"),
    ],
)
def test_a_wrong_choice_is_one_line_and_says_what_there_is(linmap, model_dir, photos, option, value, words):
    chosen = {"--model": str(model_dir)} | {option: value}
    ran = linmap("caption", photos, "--json", *(word for pair in chosen.items() for word in pair))
    assert_one_line(ran, words)


@pytest.fixture
def broken(model_dir: Path, tmp_path: Path) -> Path:
    """A copy of the model, to be damaged."""
    return Path(shutil.copytree(model_dir, tmp_path / "broken"))


def change_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_folder_without_a_model_says_what_it_holds(linmap, photos):
    assert_one_line(
        linmap("caption", photos, "--model", photos), "holds no config.json, so it is no model. Found: a.jpg"
    )


def test_another_kind_of_model_is_named(linmap, model_dir, photos):
    ran = linmap("caption", photos, "--model", model_dir / "language_model")
    assert_one_line(ran, "holds a model of type 'llama'; linmap needs 'linear_vision_prefix'")


def test_a_config_cut_off_is_named(linmap, broken, photos):
    (broken / "config.json").write_text('{"model_type": "linear')
    assert_one_line(linmap("caption", photos, "--model", broken), "config.json is damaged")


def test_a_model_without_its_projection_is_named(linmap, broken, photos):
    (broken / "model.safetensors").unlink()
    assert_one_line(linmap("caption", photos, "--model", broken), "holds no model.safetensors")


def test_a_projection_cut_off_is_named(linmap, broken, photos):
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    assert_one_line(linmap("caption", photos, "--model", broken), f"The model in {broken} cannot be loaded: ")


def test_a_projection_that_does_not_fit_is_said_with_its_shapes(linmap, broken, photos):
    import torch
    from safetensors.torch import save_file

    save_file(
        {"projector.weight": torch.zeros(16, 32), "projector.bias": torch.zeros(16)}, broken / "model.safetensors"
    )
    ran = linmap("caption", photos, "--model", broken)
    assert_one_line(ran, "does not fit")
    assert "(16, 32)" in ran.err
    assert "(16, 64)" in ran.err


def test_a_wrong_encoder_name_gets_a_suggestion(linmap, broken, photos):
    encoder = {"name": "tim:test_vit", "library": "timm", "id": "test_vit", "pretrained": False, "seed": 0}
    backbones = json.loads((broken / "config.json").read_text())["backbones"]
    backbones["language_model"] |= {"name": str(broken / "language_model")}
    change_config(broken, backbones=backbones | {"encoder": encoder}, checkpoint_contents="projector")
    ran = linmap("caption", photos, "--model", broken)
    assert_one_line(ran, "'tim:test_vit'")
    assert "Did you mean 'timm'?" in ran.err


def test_a_model_without_its_processor_is_named(linmap, broken, photos):
    (broken / "processor_config.json").unlink()
    (broken / "tokenizer.json").unlink()
    (broken / "tokenizer_config.json").unlink()
    assert_one_line(linmap("caption", photos, "--model", broken), str(broken))


def test_nothing_but_the_captions_reaches_the_terminal_of_a_fresh_process(model_dir, photos):
    ran = subprocess.run(
        [sys.executable, "-m", "linmap", "caption", str(photos), "--model", str(model_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout.splitlines()) == 3


@pytest.mark.weights
def test_the_bundled_model_captions_the_example_photos(linmap, repository):
    ran = linmap("caption", repository / "examples" / "photos", "--json")
    assert ran.code == 0, ran.err  # the first use shows on stderr how the language model is unpacked
    captions = {Path(record["image"]).stem: record["caption"] for record in map(json.loads, ran.out.splitlines())}
    assert len(captions) == 4
    assert all(captions.values())
    assert len(set(captions.values())) == 4


def assert_one_line(ran: object, words: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err


def test_a_model_without_its_processor_says_to_save_it(linmap, model_dir, photos, tmp_path):
    folder = shutil.copytree(
        model_dir, tmp_path / "model", ignore=shutil.ignore_patterns("processor_config.json", "token*")
    )
    ran = linmap("caption", photos / "a.jpg", "--model", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "holds a model without its processor (processor_config.json). Save it there too: processor.save_" in ran.err
    assert ran.err.count("\n") == 1
