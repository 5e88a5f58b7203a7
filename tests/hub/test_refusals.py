"""Each way in which the Hub, the network or the cache says no: one line of ours, and nothing half done.

`pytest tests/hub/test_refusals.py -rP` prints the lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linmap.errors import ModelNotFoundError
from tests.hub import steps
from tests.hub.conftest import TOKEN
from tests.hub_server import Death, HubClient, Repository, SmallHub

PRIVATE = "org/hidden"


@pytest.fixture(scope="module", autouse=True)
def shared(hub: SmallHub, client: HubClient, folders: dict[str, Path]) -> None:
    """A private repository with a model, a gated one, and one of another kind of model."""
    client(steps.push, "dual", folders["dual"], PRIVATE, private=True, token=TOKEN)
    hub.repositories["org/gated"] = Repository("org/gated", gated=True)
    hub.repositories["org/gated"].commit("main", hub.files(PRIVATE), [], "Upload")
    hub.repositories["org/bert"] = Repository("org/bert")
    files = {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"0" * 1_000_000}
    hub.repositories["org/bert"].commit("main", files, [], "Upload")


@pytest.fixture(scope="module")
def offline(hub: SmallHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    """A client with HF_HUB_OFFLINE=1."""
    one = HubClient(hub.url, tmp_path_factory.mktemp("offline"), offline=True)
    yield one
    one.close()


def assert_says(refusal: str, *words: str) -> None:
    """One line, with these words."""
    sys.stdout.write(f"{refusal}\n")
    assert "\n" not in refusal
    for word in words:
        assert re.search(word, refusal), f"{word!r} is not in: {refusal}"


NO_RIGHT = {
    "private without a token": (
        PRIVATE,
        {"token": False},
        r"or a private one, and no token was given\. Check the name; for a private one run `hf auth login`",
    ),
    "private for another account": (
        PRIVATE,
        {"token": "hf_stranger"},
        "or a private one that the account of this token may not see",
    ),
    "a wrong token": (PRIVATE, {"token": "hf_wrong"}, "The Hub does not know the token that came with 'org/hidden'"),
    "no such repository": ("org/missing", {"token": TOKEN}, "The Hub has no repository 'org/missing'"),
    "no such revision": (
        PRIVATE,
        {"token": TOKEN, "revision": "v9"},
        "'org/hidden' is on the Hub, but has no revision 'v9'. Name a branch, a tag or a commit",
    ),
    "gated": ("org/gated", {"token": "hf_stranger"}, r"'org/gated' is gated: .*Ask for access on http"),
    "not a name": ("a/b/c", {}, "'a/b/c' is no name of a repository: give organisation/name"),
}


@pytest.mark.parametrize("case", NO_RIGHT)
def test_loading_says_why_the_hub_does_not_give_it(case: str, client: HubClient, tmp_path: Path) -> None:
    repo, hub_arguments, words = NO_RIGHT[case]
    at = {**hub_arguments, "cache_dir": str(tmp_path)}
    for family in steps.FAMILIES:
        refusal = client.refusal(steps.loaded, family, repo, **at)
        assert_says(refusal, f"^BackboneError: No checkpoint at '{repo}': it is no directory here.", words)


@pytest.mark.parametrize("part", ["processor", "memory"])
def test_processors_and_memories_are_refused_in_the_same_words(part: str, client: HubClient, tmp_path: Path) -> None:
    refusal = client.refusal(part_loaded, part, PRIVATE, token=False, cache_dir=str(tmp_path))
    assert_says(refusal, "^BackboneError: No checkpoint at 'org/hidden'", "a private one, and no token was given")


def part_loaded(part: str, name: str, **hub: Any) -> Any:
    from linmap import ClippoProcessor, SupportMemory

    return (ClippoProcessor if part == "processor" else SupportMemory).from_pretrained(name, **hub)


@pytest.mark.parametrize("family", steps.FAMILIES)
def test_another_kind_of_model_is_refused_before_its_weights_are_fetched(
    family: str, client: HubClient, tmp_path: Path
) -> None:
    refusal = client.refusal(steps.loaded, family, "org/bert", cache_dir=str(tmp_path))
    assert_says(refusal, r"^ModelNotFoundError: org/bert holds a model of type 'bert'; needed is one of type '")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_folder_of_another_kind_of_model_is_refused_in_the_same_words(tmp_path: Path) -> None:
    from linmap import DeCapModel

    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelNotFoundError, match="holds a model of type 'bert'; needed is one of type 'decap'"):
        DeCapModel.from_pretrained(tmp_path)


def test_a_processor_that_is_not_there_is_said_to_be_missing(client: HubClient, tmp_path: Path) -> None:
    refusal = client.refusal(part_loaded, "processor", "org/bert", cache_dir=str(tmp_path))
    assert_says(refusal, r"^ModelNotFoundError: org/bert holds no processor_config\.json")


def test_a_download_that_was_cut_off_leaves_nothing_that_could_be_taken_for_a_model(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    at = {"token": TOKEN, "cache_dir": str(tmp_path)}
    hub.dies = "in a download"
    refusal = client.refusal(steps.loaded, "dual", PRIVATE, **at)
    assert_says(refusal, "^BackboneError", "broke while 'org/hidden' was being downloaded. Run it again")
    unreachable = client.refusal(steps.loaded, "dual", PRIVATE, **at)
    assert_says(unreachable, "^BackboneError", "No checkpoint at 'org/hidden'")
    assert not list(tmp_path.rglob("snapshots/*/model.safetensors"))
    hub.start()
    assert steps.alike(client(steps.answers, "dual", PRIVATE, **at), steps.answers("dual", folders["dual"]))


def test_a_hub_that_is_not_there_is_said_to_be_unreachable(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    hub.stop()
    try:
        refusal = client.refusal(steps.loaded, "prefix", "org/hidden", cache_dir=str(tmp_path))
        assert_says(refusal, f"The Hub .{hub.url}. cannot be reached, and 'org/hidden' is not in the cache")
        said = client.linmap("info", "org/hidden")
        assert (said.code, said.out) == (2, "")
        assert_says(said.err.strip(), f"^linmap: error: No checkpoint at 'org/hidden'.*The Hub .{hub.url}. cannot be")
        said = client.linmap("push", str(folders["clippo"]), "org/unreached", "--token", TOKEN)
        assert (said.code, said.out) == (2, "")
        assert_says(said.err.strip(), f"^linmap: error: The push failed. The Hub .{hub.url}. cannot be reached. Ch")
    finally:
        hub.start()


def test_offline_a_cached_model_loads_and_another_is_refused(
    client: HubClient, offline: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    at = {"cache_dir": str(tmp_path)}
    expected = client(steps.answers, "dual", PRIVATE, token=TOKEN, **at)
    assert steps.alike(offline(steps.answers, "dual", PRIVATE, **at), expected)
    refusal = offline.refusal(steps.loaded, "dual", "org/gated", **at)
    assert_says(refusal, "HF_HUB_OFFLINE=1 keeps this machine from the Hub, and 'org/gated' is not, or not whole, in")
    next(tmp_path.rglob("snapshots/*/model.safetensors")).unlink()
    half = offline.refusal(steps.loaded, "dual", PRIVATE, **at)
    assert_says(half, "HF_HUB_OFFLINE=1 keeps this machine from the Hub, and 'org/hidden' is not, or not whole, in")
    pushing = offline.refusal(steps.push, "dual", folders["dual"], "org/never", token=TOKEN)
    assert_says(pushing, "^SharingError: The push failed. HF_HUB_OFFLINE=1 keeps", "Unset it to push")


def test_local_files_only_is_named_where_it_stands_in_the_way(client: HubClient, tmp_path: Path) -> None:
    refusal = client.refusal(steps.loaded, "dual", PRIVATE, cache_dir=str(tmp_path), local_files_only=True)
    assert_says(refusal, "local_files_only=True keeps to the cache, and 'org/hidden' is not, or not whole, in it")


# ---------------------------------------------------------------------------------------------------------------------
# Pushing.

REFUSED_PUSH = {
    "without a token": ("org/new", {"token": False}, "The Hub takes nothing from somebody without a token"),
    "a wrong token": ("org/new", {"token": "hf_wrong"}, "The Hub does not know the token that came with 'org/new'"),
    "another's namespace": ("org/new", {"token": "hf_stranger"}, "This token may not write to 'org/new'"),
    "not a name": ("a/b/c", {"token": TOKEN}, "'a/b/c' is no name of a repository"),
    "hidden behind a public name": (
        "org/bert",
        {"token": TOKEN, "private": True},
        "'org/bert' is on the Hub already, and public: private=True cannot hide",
    ),
    "a commit for a branch": ("org/bert", {"token": TOKEN, "revision": "refs/pr/9"}, "has no revision 'refs/pr/9'"),
}


@pytest.mark.parametrize("case", REFUSED_PUSH)
def test_pushing_says_why_the_hub_does_not_take_it(
    case: str, hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    repo, hub_arguments, words = REFUSED_PUSH[case]
    before = {name: dict(repository.branches) for name, repository in hub.repositories.items()}
    assert_says(client.refusal(steps.push, "clippo", folders["clippo"], repo, **hub_arguments), "^SharingError", words)
    assert before == {name: dict(repository.branches) for name, repository in hub.repositories.items()}


@pytest.mark.parametrize("death", ["in an upload", "before the commit"])
def test_a_server_that_dies_in_a_push_has_nothing_of_it_and_takes_it_the_next_time(
    death: Death, hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    repo = f"org/dies-{death.replace(' ', '-')}"
    client(steps.push, "clippo", folders["clippo"], repo, token=TOKEN)
    before = dict(hub.files(repo))
    hub.large.clear()
    hub.dies = death
    said = client.linmap("push", str(folders["sentences"]), repo, "--token", TOKEN)
    assert (said.code, said.out) == (2, "")
    assert_says(
        said.err.strip(),
        "^linmap: error: The push failed. The connection to the Hub broke in the middle",
        "Push again",
    )
    hub.start()
    assert hub.files(repo) == before
    said = client.linmap("push", str(folders["sentences"]), repo, "--token", TOKEN)
    assert said.code == 0, said.err
    pushed = client(steps.answers, "sentences", repo, cache_dir=str(tmp_path))
    assert steps.alike(pushed, steps.answers("sentences", folders["sentences"]))


def test_a_change_on_the_hub_meanwhile_is_not_overwritten(
    hub: SmallHub, client: HubClient, folders: dict[str, Path]
) -> None:
    client(steps.push, "clippo", folders["clippo"], "org/busy", token=TOKEN)
    hub.meanwhile = lambda: hub.repositories["org/busy"].commit("main", {"new.txt": b"1"}, [], "Somebody else's")
    refusal = client.refusal(steps.push, "sentences", folders["sentences"], "org/busy", token=TOKEN)
    assert_says(refusal, "^SharingError", "Somebody else changed 'org/busy' while this was being pushed")
    assert b"ClippoModel" in hub.files("org/busy")["config.json"]


def test_a_header_that_the_hub_cannot_read_is_named(
    hub: SmallHub, client: HubClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    refusal = client.refusal(pushed_under, "---\nlicense: [mit\n---\n", folders["clippo"], tmp_path, "org/header")
    assert_says(refusal, "^SharingError: The push to 'org/header' failed: Invalid metadata in README.md")
    assert CARD not in hub.files("org/header")


CARD = "README.md"


def pushed_under(card: str, source: Path, folder: Path, repo_id: str) -> None:
    (folder / CARD).write_text(card, encoding="utf-8")
    model, _ = steps.loaded("clippo", source)
    model.save_pretrained(folder, push_to_hub=True, repo_id=repo_id, token=TOKEN)
