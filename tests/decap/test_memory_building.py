from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from linmap.data.left_out import LeftOut
from linmap.decap import memory_files
from linmap.decap.memory import SupportMemory
from linmap.decap.memory_building import build_memory
from linmap.errors import SupportMemoryError
from linmap.weights import Fingerprint

TOWER = Fingerprint(name="hf:tiny", library="linmap", id="text_latents", sha256="a" * 64)


class Line(NamedTuple):
    text: str
    place: str


def lines(*texts: str) -> list[Line]:
    return [Line(text, f"a.txt:{number}") for number, text in enumerate(texts, start=1)]


def embed(texts: list[str]) -> Tensor:
    """A latent that depends on its text alone."""
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return torch.tensor([list(digest) for digest in digests]).float() - 127.5


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "SHARD_ROWS", 4)


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., dict]:
    def run(
        sentences: list[Line], embed: Callable[[list[str]], Tensor] = embed, name: str = "memory", **settings
    ) -> dict:
        settings = {"text_tower": TOWER, "left_out": LeftOut(), **settings}
        return build_memory(sentences, embed, tmp_path / name, **settings)

    return run


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


TEXTS = [f"caption {row}" for row in range(10)]


def test_a_memory_holds_each_text_once_with_its_latent(build, tmp_path):
    left_out = LeftOut()
    facts = build(lines("a dog", "a cat", "a dog", "A dog", "a cat", "a car"), left_out=left_out, dtype="float32")
    memory = SupportMemory.from_pretrained(tmp_path / "memory", verify=True)
    assert list(memory.captions) == ["a dog", "a cat", "A dog", "a car"]
    expected = SupportMemory.from_latents(embed(list(memory.captions)), memory.captions)
    assert torch.equal(memory.latents(), expected.latents())
    assert memory.text_tower == TOWER
    assert left_out.to_dict() == {"duplicate": {"count": 2, "first": ["a.txt:3", "a.txt:5"]}}
    assert facts["left_out"] == {"duplicate": 2}


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_build_that_is_cut_off_goes_on_and_ends_with_the_same_bytes(build, tmp_path, dtype, at):
    build(lines(*TEXTS), name="whole", dtype=dtype)
    seen: list[list[str]] = []

    def failing(texts: list[str]) -> Tensor:
        if len(seen) == at:
            raise KeyboardInterrupt
        seen.append(texts)
        return embed(texts)

    with pytest.raises(KeyboardInterrupt):
        build(lines(*TEXTS), failing, dtype=dtype)
    with pytest.raises(
        SupportMemoryError, match=r"memory is not complete: its build was cut off\. Run the same linmap"
    ):
        SupportMemory.from_pretrained(tmp_path / "memory")

    def counting(texts: list[str]) -> Tensor:
        seen.append(texts)
        return embed(texts)

    build(lines(*TEXTS), counting, dtype=dtype)
    assert [text for part in seen for text in part] == TEXTS, "no text is embedded twice"
    assert files_of(tmp_path / "memory") == files_of(tmp_path / "whole")


def test_a_memory_that_is_complete_is_not_built_again(build):
    first = build(lines(*TEXTS))

    def never(texts: list[str]) -> Tensor:
        raise AssertionError("embedded again")

    assert build(lines(*TEXTS), never) == first


def test_a_limit_counts_the_texts_that_are_kept(build, tmp_path):
    left_out = LeftOut()
    build(lines("a", "a", "b", "c", "d"), limit=2, left_out=left_out)
    assert list(SupportMemory.from_pretrained(tmp_path / "memory").captions) == ["a", "b"]
    assert left_out.counts == {"duplicate": 1}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dtype": "int8"}, "dtype"),
        ({"limit": 3}, "limit"),
        ({"plan": {"sources": ["b.txt"]}}, "sources"),
        ({"text_tower": Fingerprint(name="hf:b", library="linmap", id="text_latents", sha256="b" * 64)}, "text_tower"),
    ],
)
def test_another_build_in_the_same_folder_is_refused_unless_it_may_be_lost(build, tmp_path, settings, named):
    build(lines(*TEXTS), plan={"sources": ["a.txt"]})
    before = files_of(tmp_path / "memory")
    match = (
        rf"memory holds a memory that was built with other values of {named}\. Choose another --output, or --overwrite"
    )
    settings = {"plan": {"sources": ["a.txt"]}, **settings}
    with pytest.raises(SupportMemoryError, match=match):
        build(lines(*TEXTS), **settings)
    assert files_of(tmp_path / "memory") == before
    build(lines(*TEXTS), **settings, overwrite=True)
    build(lines(*TEXTS), name="fresh", **settings)
    assert files_of(tmp_path / "memory") == files_of(tmp_path / "fresh")


def test_a_memory_saved_in_another_format_does_not_pass_for_one_that_was_built_so(build, tmp_path):
    build(lines(*TEXTS), dtype="float16", plan={"sources": ["a.txt"]})
    SupportMemory.from_pretrained(tmp_path / "memory").save_pretrained(tmp_path / "memory", dtype="int8")
    assert memory_files.complete_facts(tmp_path / "memory")["build"]["sources"] == ["a.txt"]
    for dtype in ("float16", "int8"):
        with pytest.raises(SupportMemoryError, match=r"that was built with other values of dtype\. Choose another"):
            build(lines(*TEXTS), dtype=dtype, plan={"sources": ["a.txt"]})
    build(lines(*TEXTS), dtype="float32", name="exact")
    SupportMemory.from_pretrained(tmp_path / "exact").save_pretrained(tmp_path / "same")
    assert build(lines(*TEXTS), dtype="float32", name="same")["dtype"] == "float32"


def test_sentences_that_changed_in_between_are_noticed(build):
    def failing(texts: list[str]) -> Tensor:
        if "caption 5" in texts:
            raise KeyboardInterrupt
        return embed(texts)

    with pytest.raises(KeyboardInterrupt):
        build(lines(*TEXTS), failing)
    with pytest.raises(SupportMemoryError, match=r"captions-00001\.safetensors holds other captions than the sources"):
        build(lines("another", *TEXTS))


def test_a_folder_of_something_else_is_left_alone(build, tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "thesis.txt").write_text("mine", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(SupportMemoryError, match=r"memory holds files that are not of a support memory"):
            build(lines(*TEXTS), overwrite=overwrite)
    (tmp_path / "file").touch()
    with pytest.raises(SupportMemoryError, match=r"file is a file; choose a folder as --output"):
        build(lines(*TEXTS), name="file")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "left",
    [
        ["latents-00001.safetensors", "captions-00001.safetensors", "captions-00002.safetensors.part"],
        ["memory.json.part"],
        ["memory.part/captions-00001.safetensors", "memory.part/latents-00001.safetensors.part"],
    ],
)
def test_what_is_left_of_a_memory_that_was_cut_off_is_no_hindrance(build, tmp_path, left, overwrite):
    build(lines(*TEXTS), name="whole")
    build(lines(*TEXTS), name="other", dtype="int8")
    for name in left:
        file = tmp_path / "memory" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((tmp_path / "other" / file.name.removesuffix(".part")).read_bytes()[:2000])
    build(lines(*TEXTS), overwrite=overwrite)
    assert files_of(tmp_path / "memory") == files_of(tmp_path / "whole")


def test_a_memory_that_was_saved_and_only_not_moved_is_not_lost_unless_it_may_be(build, tmp_path):
    build(lines(*TEXTS), name="memory/memory.part")
    with pytest.raises(
        SupportMemoryError, match=r"memory\.part holds a memory that was saved, and cut off on its last"
    ):
        build(lines(*TEXTS))
    assert len(SupportMemory.from_pretrained(tmp_path / "memory" / "memory.part")) == 10
    build(lines(*TEXTS), overwrite=True)
    assert not (tmp_path / "memory" / "memory.part").exists()


def test_shards_without_their_facts_beside_other_files_are_left_alone(build, tmp_path):
    build(lines(*TEXTS))
    (tmp_path / "memory" / "memory.json").unlink()
    (tmp_path / "memory" / "thesis.txt").write_text("mine", encoding="utf-8")
    before = files_of(tmp_path / "memory")
    with pytest.raises(SupportMemoryError, match=r"memory holds files that are not of a support memory"):
        build(lines(*TEXTS), overwrite=True)
    assert files_of(tmp_path / "memory") == before


def test_no_sentence_is_no_memory_and_leaves_no_trace(build, tmp_path):
    with pytest.raises(
        SupportMemoryError, match=r"No sentence is left to build a memory of; name sources that hold some"
    ):
        build([])
    build(lines(*TEXTS))


def test_sentences_are_taken_as_they_come_and_never_all_at_once(build):
    taken = 0

    def stream() -> Iterator[Line]:
        nonlocal taken
        for line in lines(*TEXTS):
            taken += 1
            yield line

    ahead: list[int] = []

    def watching(texts: list[str]) -> Tensor:
        ahead.append(taken)
        return embed(texts)

    build(stream(), watching)
    assert ahead == [4, 8, 10]
