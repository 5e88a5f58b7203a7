"""Repositories of the small Hub: commits that hold all their files, and branches that point at them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

MAIN = "main"
FIRST = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}
"""What the Hub puts into a new repository."""


def is_large(path: str) -> bool:
    """Whether a file goes through LFS, as .gitattributes says it on the Hub."""
    return path.endswith(".safetensors")


def oid_of(path: str, content: bytes) -> str:
    """Git's name of a file: of a large one its sha256, of another the sha1 of the blob."""
    if is_large(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Repository:
    """A model repository.

    Args:
        name: `"organisation/name"`.
        private: Whether those without rights are told that it is not there.
        gated: Whether its files, but not its name, are closed to those whom nobody let in.
    """

    name: str
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.branches[MAIN] = self._keep(dict(FIRST))

    @property
    def files(self) -> dict[str, bytes]:
        """Files of the main branch."""
        return self.commits[self.branches[MAIN]]

    def at(self, revision: str) -> str | None:
        """The commit of a branch or a commit's name; None where there is none."""
        return revision if revision in self.commits else self.branches.get(revision)

    def commit(
        self, branch: str, new: Mapping[str, bytes], gone: list[str], message: str, onto: str | None = None
    ) -> str:
        """Puts a commit on a branch; `onto` is the branch it starts from where it is new."""
        files = {**self.commits[self.branches[onto or branch]], **new}
        for path in gone:
            del files[path]
        self.branches[branch] = self._keep(files)
        self.messages.append(message)
        return self.branches[branch]

    def _keep(self, files: dict[str, bytes]) -> str:
        sha = hashlib.sha1(f"{self.name} {len(self.commits)}".encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = files
        return sha
