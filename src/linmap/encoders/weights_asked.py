"""Which weights are asked for: pretrained ones, random ones of some seed, or those that a checkpoint recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

import torch

from linmap.errors import EncoderError
from linmap.weights.identity import Fingerprint

__all__ = ["load_as_asked"]


class Loaded(Protocol):
    """A tower with its weights."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Where they came from."""


AnyLoaded = TypeVar("AnyLoaded", bound=Loaded)


def load_as_asked(
    load: Callable[[bool, str | None], AnyLoaded],
    *,
    pretrained: bool,
    seed: int | None,
    revision: str | None,
    expected: Fingerprint | None,
) -> tuple[AnyLoaded, Fingerprint]:
    """Runs `load(pretrained, revision)` and checks what it found; see `load_encoder` for the words.

    Returns:
        What it gave, and the fingerprint, which of random weights names the seed.

    Raises:
        EncoderError: A seed for pretrained weights.
        FingerprintMismatchError: They are not the expected ones.
    """
    if expected is not None:
        revision = revision or expected.revision
        if not expected.pretrained:
            pretrained, seed = False, expected.seed if seed is None else seed
    if pretrained and seed is not None:
        raise EncoderError(f"seed={seed} says how random weights are drawn; give it with pretrained=False only.")
    if pretrained:
        loaded = load(True, revision)
        fingerprint = loaded.fingerprint
    else:
        seed = 0 if seed is None else seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            loaded = load(False, revision)
        fingerprint = replace(loaded.fingerprint, seed=seed)
    if expected is not None:
        fingerprint.require(expected)
    return loaded, fingerprint
