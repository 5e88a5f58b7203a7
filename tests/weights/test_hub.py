from __future__ import annotations

from pathlib import Path

import pytest

from linmap.weights.hub import commit_of


@pytest.mark.parametrize(
    ("path", "commit"),
    [
        ("/hub/models--a--b/snapshots/abc/config.json", "abc"),
        ("/hub/models--a--b/snapshots/abc/below/config.json", "abc"),
        ("/data/snapshots/mine/config.json", None),
        ("/data/snapshots/config.json", None),
        ("/data/models--a--b/config.json", None),
    ],
)
def test_only_a_file_in_the_hubs_cache_has_a_commit(path: str, commit: str | None):
    assert commit_of(Path(path)) == commit
