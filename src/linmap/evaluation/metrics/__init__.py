"""Metrics as `evaluate` modules, one folder each, which load offline: `evaluate.load(metric_path("cider_d"))`."""

from __future__ import annotations

from pathlib import Path

from linmap.errors import UnknownNameError

__all__ = ["metric_path"]


def metric_path(name: str) -> str:
    """The path that `evaluate.load` takes for the metric `name`.

    Raises:
        UnknownNameError: No such metric.

    Example:
        >>> import evaluate
        >>> metric = evaluate.load(metric_path("cider_d"))  # doctest: +SKIP
    """
    here = Path(__file__).parent
    known = sorted(folder.name for folder in here.iterdir() if (folder / f"{folder.name}.py").is_file())
    if name not in known:
        raise UnknownNameError("metric", name, known)
    return str(here / name / f"{name}.py")
