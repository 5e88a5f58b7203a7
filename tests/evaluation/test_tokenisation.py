"""Tokens: the same as pycocoevalcap's own wrapper gives, and a clear word where Java is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from linmap.errors import MissingJavaError, UnknownNameError
from linmap.evaluation import tokenise

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="PTB tokenisation needs Java")

CAPTIONS = [
    "A dog's ball, isn't it?",
    "Two dogs (black & white) run-off... “quickly”",
    "",
    "A café\nin two lines\r\nand\u2028more",
    "the U.S. flag -- 3.5 m high; $5!",
]


def test_simple_tokens_are_lower_case_words_without_punctuation():
    assert tokenise(CAPTIONS, "simple")[:3] == ["a dog's ball isn't it", "two dogs black white run off quickly", ""]


def test_an_unknown_tokenizer_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"Unknown tokenizer 'ptbb'\. Did you mean 'ptb'\? Known: ptb, simple\."):
        tokenise(["a dog"], "ptbb")


def test_without_java_the_error_says_what_to_install(monkeypatch, tmp_path):
    pytest.importorskip("pycocoevalcap")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingJavaError, match=r"no `java` on the PATH. Install a Java runtime.*default-jre.*'simple'"):
        tokenise(["a dog"])


def test_a_java_that_fails_is_named_with_what_it_said(monkeypatch, tmp_path):
    pytest.importorskip("pycocoevalcap")
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'no JVM today' >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    with pytest.raises(MissingJavaError, match=r"failed \(exit code 3\): no JVM today Try `java -version`"):
        tokenise(["a dog"])


@needs_java
def test_ptb_tokens_are_those_of_the_coco_evaluation():
    assert tokenise(CAPTIONS) == [
        "a dog 's ball is n't it",
        "two dogs -lrb- black & white -rrb- run-off quickly",
        "",
        "a café in two lines and more",
        "the u.s. flag 3.5 m high $ 5",
    ]


@needs_java
def test_ptb_tokens_do_not_depend_on_the_locale(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    assert tokenise(["a café in Köln"]) == ["a café in köln"]


@needs_java
def test_nothing_to_tokenise_gives_nothing():
    assert tokenise([]) == []


@needs_java
def test_the_installed_package_is_left_as_it_was():
    from pycocoevalcap.tokenizer import ptbtokenizer

    folder = Path(ptbtokenizer.__file__).parent
    before = sorted((path.name, path.stat().st_mtime_ns) for path in [folder, *folder.iterdir()])
    tokenise(["a dog"])
    assert sorted((path.name, path.stat().st_mtime_ns) for path in [folder, *folder.iterdir()]) == before


@needs_java
@pytest.mark.shared
def test_flickr8k_tokens_are_those_of_pycocoevalcaps_own_wrapper(shared, tmp_path, monkeypatch):
    import json

    from pycocoevalcap.tokenizer import ptbtokenizer

    jar = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    (tmp_path / jar.name).symlink_to(jar)
    monkeypatch.setattr(
        ptbtokenizer, "__file__", str(tmp_path / "ptbtokenizer.py")
    )  # where the wrapper writes its file
    records = json.loads((shared / "data" / "flickr8k" / "captions.json").read_text(encoding="utf-8"))
    captions = [caption for record in records if record["split"] == "val" for caption in record["captions"]]
    wrapped = ptbtokenizer.PTBTokenizer().tokenize(
        {number: [{"caption": caption}] for number, caption in enumerate(captions)}
    )
    assert len(captions) == 5000
    assert tokenise(captions) == [wrapped[number][0] for number in range(len(captions))]
