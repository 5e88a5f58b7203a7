"""Time and peak memory of the process that a measurement runs in."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["forget_peak", "peak", "timed"]


def timed(step: Callable[[], object]) -> float:
    """Seconds that `step` takes."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def forget_peak() -> int:
    """Lets the peak start anew from the memory held now, and returns that, in bytes.

    Loading a model can hold more than a step does. Only Linux can forget (`/proc/self/clear_refs`, see proc(5));
    elsewhere the peak of loading stays, and a step that needs less than loading shows no peak of its own.
    """
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5", encoding="ascii")
    return peak()


def peak() -> int:
    """Most memory the process has held, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
