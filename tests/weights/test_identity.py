"""A fingerprint finds weights again, and notices other ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from linmap.errors import FingerprintMismatchError
from linmap.weights import Fingerprint, sha256_of, sha256_of_weights

KNOWN = Fingerprint(
    name="timm:test_vit.r160_in1k",
    library="timm",
    id="test_vit.r160_in1k",
    revision="a" * 40,
    file="model.safetensors",
    sha256="b" * 64,
    license="apache-2.0",
)


def test_a_fingerprint_survives_json():
    assert Fingerprint.from_dict(json.loads(json.dumps(KNOWN.to_dict()))) == KNOWN


def test_a_fingerprint_of_a_newer_version_is_read():
    assert Fingerprint.from_dict({**KNOWN.to_dict(), "signature": "later"}) == KNOWN


def test_sha256_is_that_of_the_bytes(tmp_path: Path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"x" * 3_000_000)
    assert sha256_of(file) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_the_digest_of_shards_follows_their_content_not_their_index(tmp_path: Path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}))
    for shard in ("1", "2"):
        (tmp_path / f"{shard}.safetensors").write_bytes(shard.encode())
    before = sha256_of_weights(index)
    lines = "".join(f"{hashlib.sha256(s.encode()).hexdigest()}  {s}.safetensors\n" for s in ("1", "2"))
    assert before == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "1.safetensors").write_bytes(b"other")
    assert sha256_of_weights(index) != before


def test_the_same_file_from_another_commit_is_the_same_weights():
    replace(KNOWN, revision="c" * 40).require(KNOWN)


def test_unknown_facts_are_no_mismatch():
    replace(KNOWN, sha256=None, revision=None).require(KNOWN)


@pytest.mark.parametrize(
    ("found", "match"),
    [
        (replace(KNOWN, sha256="0" * 64), r"sha256 found 0000.*, expected bbbb"),
        (replace(KNOWN, sha256=None, revision="main"), r"revision found main, expected aaaa"),
        (replace(KNOWN, pretrained=False, seed=3), r"weights found random, seed 3, expected pretrained"),
    ],
)
def test_other_weights_are_noticed(found: Fingerprint, match: str):
    with pytest.raises(FingerprintMismatchError, match=match):
        found.require(KNOWN)
