"""What a launcher (accelerate launch, torchrun) tells each of the processes it starts."""

from __future__ import annotations

import os

__all__ = ["is_first", "process_count"]


def process_count() -> int:
    """How many processes were started for this run; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"
