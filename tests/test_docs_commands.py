"""The commands in README and docs: each is one that its program knows, and those that can are run, a block at a time.

A block with `<!-- not run: reason -->` in front of it is read by the program's own parser of the command line, and no
more. The others run in a folder that holds what they name: photos, captions, questions, small models.
"""

from __future__ import annotations

import argparse
import csv
import json
import runpy
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import pytest
import typer
from PIL import Image

from linmap import (
    ClippoConfig,
    ClippoModel,
    ClippoProcessor,
    LinearVisionPrefixModel,
    LinearVisionPrefixProcessor,
)
from linmap.cli.app import app, main

from .documented import PAGES, ROOT, Block, blocks, commands, named

NOT_OURS = ("img2dataset", "lmms_eval", "pip", "pytest")
"""Programs whose command lines are not looked at."""


def _shell_blocks() -> list:
    """Each different block once, under the page it stands on first."""
    found: dict[str, tuple[Path, Block]] = {}
    for page in PAGES:
        for block in blocks(page, "bash"):
            found.setdefault(block.code, (page, block))
    return [
        pytest.param(block, id=f"{named(page)}: {' '.join(commands(block.code)[0])[:60]}")
        for page, block in found.values()
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Known: the program's own parser takes the words.


class _Parsed(Exception):  # noqa: N818 (no error: the words were understood)
    pass


def _linmap_takes(words: Sequence[str]) -> None:
    command, context = typer.main.get_command(app), None
    name = "linmap"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "commands"):
            return
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])


def _script_takes(run: Callable[[], object], words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_known_args  # what parse_args calls

    def only_parse(self: argparse.ArgumentParser, args: object = None, namespace: object = None) -> object:
        _, strange = parse(self, args, namespace)
        assert not strange, f"{self.prog} does not know {strange}"
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", only_parse)
    monkeypatch.setattr(sys, "argv", ["script", *words])
    with pytest.raises(_Parsed):
        run()


def _take(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program, arguments = _program(words)
    if program == "linmap":
        _linmap_takes(arguments)
    elif program in NOT_OURS:
        return
    else:
        _script_takes(lambda: _run_script(program), arguments, monkeypatch)


def _run_script(program: str) -> None:
    file = ROOT / (program if program.endswith(".py") else f"{program.replace('.', '/')}.py")
    assert file.is_file(), f"there is no {program}"
    runpy.run_path(str(file), run_name="__main__")


def _program(words: list[str]) -> tuple[str, list[str]]:
    """What is run (linmap, a script, a module), and the words behind it."""
    if words[0] in ("python", "torchrun") or words[:2] == ["accelerate", "launch"]:
        place = next(i for i, word in enumerate(words) if word == "-m" or word.endswith(".py"))
        place += words[place] == "-m"
        return words[place], words[place + 1 :]
    assert words[0] == "linmap" or words[0] in NOT_OURS, f"nothing here can check {words[0]!r}: {' '.join(words)}"
    return words[0], words[1:]


@pytest.mark.parametrize("block", _shell_blocks())
def test_the_program_knows_each_command_and_option(block, monkeypatch):
    for words in commands(block.code):
        _take(words, monkeypatch)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("linmap caption photo.jpg --expain", "No such option: --expain"),
        ("linmap captions photo.jpg", "No such command 'captions'"),
        ("linmap evaluate retrieval --data", "Option '--data' requires an argument"),
        ("linmap memory build --output memory", "Missing argument"),
        ("torchrun --nproc_per_node 2 -m linmap train x --outputs y", "No such option: --outputs"),
        ("python examples/caption_photos.py --figures x.png", "does not know"),
        ("python examples/no_such_example.py", "there is no examples/no_such_example.py"),
        ("python -m benchmarks.no_such_benchmark", "there is no benchmarks.no_such_benchmark"),
        ("lynmap caption photo.jpg", "nothing here can check 'lynmap'"),
    ],
)
def test_what_no_program_knows_is_found(line, said, monkeypatch):
    with pytest.raises(Exception) as found:  # noqa: PT011 (of several libraries; what they say is looked at)
        _take(commands(line)[0], monkeypatch)
    assert said in getattr(found.value, "format_message", found.value.__str__)()


def test_a_block_of_commands_is_read_as_a_shell_reads_it():
    code = "a --x 'b c' \\\n  --y  # why\n\nwords=\"d\n  e\"\npython -m pip $words && f\n"
    assert commands(code) == [["a", "--x", "b c", "--y"], ["python", "-m", "pip", "d", "e"], ["f"]]


# ---------------------------------------------------------------------------------------------------------------------
# Run: in a folder that holds what the commands name.

SEEN = {
    "790": ("people sit around a table with a cake", "a family at a dining table"),
    "174375": ("a tennis player serves the ball", "a man plays tennis before a crowd"),
    "196393": ("a white cat eats from a bowl", "a cat and a bird eat"),
    "121647": ("a pizza on a white plate", "a plate of food and a glass"),
    "516008": ("a laptop stands on a desk", "a desk with a computer"),
    "358083": ("a black and white cat before a mirror", "a cat sits in a bathroom"),
}
"""Photos of the gallery, two a split."""
SPLITS = ("train", "val", "test")
WRITES = {"-o", "--out", "--output", "--plot"}


@pytest.fixture(scope="module")
def things(
    tmp_path_factory: pytest.TempPathFactory, tiny_lm_dir: Callable[..., Path], tiny_tokenizer: Callable[..., object]
) -> Path:
    """What commands of the docs name, by those names; models that nobody has are tiny and untrained."""
    root = tmp_path_factory.mktemp("things")
    (root / "examples").symlink_to(ROOT / "examples")
    _write_photos(root)
    _write_texts(root)
    _write_captioners(root, tiny_lm_dir)
    _write_clippos(root, tiny_tokenizer)
    return root


def _write_photos(root: Path) -> None:
    photos = [ROOT / "docs" / "assets" / "gallery" / f"{name}.jpg" for name in SEEN]
    for folder in ("photos", "holiday", "xm3600"):
        _copy(photos[:1] if folder == "holiday" else photos, root / folder)
    for folder in ("by-class", "train", "test", "sketches", "photos-at-night"):
        for label, those in (("cat", (2, 5, 1)), ("table", (0, 3, 4))):
            few = those if folder == "by-class" else those[:2]
            _copy([photos[number] for number in few], root / folder / label)
    (root / "more").mkdir()
    with Image.open(photos[1]) as photo:
        photo.save(root / "more" / "tennis.png")
    for name, copied in (("photo.jpg", photos[2]), ("dog.jpg", photos[5])):
        shutil.copy(copied, root / name)
    with av.open(str(root / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 128
        for photo in photos[:4]:
            with Image.open(photo) as picture:
                film.mux(stream.encode(av.VideoFrame.from_image(picture.resize((128, 128)))))
        film.mux(stream.encode())


def _write_texts(root: Path) -> None:
    records = [
        {"file": f"{name}.jpg", "captions": list(captions), "split": SPLITS[number % 3]}
        for number, (name, captions) in enumerate(SEEN.items())
    ]
    for name in ("captions.json", "captions_val2017.json"):
        (root / name).write_text(json.dumps(records), encoding="utf-8")
    spoken = [
        json.dumps({"image": record["file"], "captions": {"en": record["captions"], "zh": [f"图片 {number}"]}})
        for number, record in enumerate(records)
    ]
    (root / "xm3600" / "captions.jsonl").write_text("\n".join(spoken), encoding="utf-8")
    sentences = [caption for captions in SEEN.values() for caption in captions]
    for name in ("sentences.txt", "more.txt", "captions.txt"):
        (root / name).write_text("\n".join(sentences), encoding="utf-8")
    (root / "names.json").write_text(json.dumps(["cat", "table"]), encoding="utf-8")
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(f"{name}.jpg", label) for name, label in zip(SEEN, ("table", "cat") * 3, strict=True)]
        csv.writer(file).writerows([("file", "label"), *rows])


def _write_captioners(root: Path, tiny_lm_dir: Callable[..., Path]) -> None:
    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit", str(tiny_lm_dir("llama")), grid_size=2, encoder_kwargs={"pretrained": False, "seed": 0}
    )
    model.generation_config.max_new_tokens = 6
    for name in ("FOLDER", "runs/random"):
        model.save_pretrained(root / name, include_backbones=True)
        LinearVisionPrefixProcessor.for_model(model).save_pretrained(root / name)


def _write_clippos(root: Path, tiny_tokenizer: Callable[..., object]) -> None:
    sizes = {"image_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"text_input": "tokens", "vocab_size": 320, "pad_token_id": 2, "max_text_tokens": 12}
    kinds = {
        "clippo": {},
        "clippo-text-pairs": {},
        "1t-clip": tokens,
        "clip-star": {**tokens, "text_tower": "own"},
    }
    for name, kind in kinds.items():
        model = ClippoModel(ClippoConfig(intermediate_size=64, **sizes, **kind))
        model.save_pretrained(root / "runs" / name)
        tokenizer = tiny_tokenizer() if kind else None
        ClippoProcessor.for_model(model, tokenizer).save_pretrained(root / "runs" / name)


def _copy(photos: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for photo in photos:
        shutil.copy(photo, folder / photo.name)


@pytest.fixture(scope="module")
def ran() -> set[tuple[str, ...]]:
    """Commands that went through, of those that write no file."""
    return set()


@pytest.fixture
def desk(things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with all of it."""
    for thing in things.iterdir():
        if thing.name == "runs":  # new ones are written beside those that are there
            (tmp_path / "runs").mkdir()
            for run in thing.iterdir():
                (tmp_path / "runs" / run.name).symlink_to(run)
        else:
            (tmp_path / thing.name).symlink_to(thing)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program, arguments = _program(words)
    if program == "linmap":
        assert main(arguments) == 0, f"linmap {' '.join(arguments)}"
    elif program not in NOT_OURS:
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        _run_script(program)


@pytest.mark.weights
@pytest.mark.parametrize("block", [one for one in _shell_blocks() if one.values[0].runs])
def test_the_commands_of_a_block_run_one_after_another(block, desk, ran, monkeypatch):
    if "--tokenizer" not in block.code and "evaluate caption" in block.code and not shutil.which("java"):
        pytest.skip("needs Java (default-jre-headless) for PTB tokenisation")
    for words in commands(block.code):
        if tuple(words) not in ran:
            _run(words, monkeypatch)
        if not WRITES.intersection(words):  # what writes is run again wherever it stands: the next line may read it
            ran.add(tuple(words))
