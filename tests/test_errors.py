"""Errors survive the way out of a worker process."""

from __future__ import annotations

import pickle

import pytest

from linmap import errors
from linmap.errors import LinmapError, MissingExtraError, TooManyUnreadableImagesError, UnreadableImageError


@pytest.mark.parametrize(
    "error",
    [
        UnreadableImageError("a.jpg", "it is empty"),
        TooManyUnreadableImagesError(["a.jpg", "b.jpg"], 1),
        MissingExtraError("datasets", "data"),
        errors.UnknownNameError("split", "vall", ["val", "train"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_on_the_other_side_of_a_process(error: LinmapError) -> None:
    revived = pickle.loads(pickle.dumps(error))
    assert type(revived) is type(error)
    assert str(revived) == str(error)
    assert vars(revived) == vars(error)
