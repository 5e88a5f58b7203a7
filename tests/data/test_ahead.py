from __future__ import annotations

import threading

import pytest
import torch

from linmap.data.ahead import Answer, answers_in_order, fitting_in_memory
from linmap.errors import CaptionDataError, CaptioningError


def number(word: str) -> int:
    if not word.isdigit():
        raise CaptionDataError(f"{word} is no number.")
    return int(word)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_every_word_gets_its_own_answer_in_input_order(batch_size):
    batches = []

    def squares(numbers: list[int]) -> list[int]:
        batches.append(len(numbers))
        return [one * one for one in numbers]

    words = ["1", "two", "3", "4", "five", "six", "7"]
    answers = list(answers_in_order(words, number, squares, batch_size))
    assert [answer.asked for answer in answers] == words
    assert [answer.result for answer in answers] == [1, None, 9, 16, None, None, 49]
    assert [answer.asked for answer in answers if isinstance(answer.error, CaptionDataError)] == ["two", "five", "six"]
    assert max(batches) <= batch_size
    assert sum(batches) == 4
    assert len(batches) == -(-4 // batch_size), "bad words must not make batches small"


def test_a_result_may_be_none():
    assert list(answers_in_order(["a"], str, lambda batch: [None], 1)) == [Answer("a")]


def test_what_is_no_error_of_ours_ends_the_whole_and_its_threads():
    with pytest.raises(ZeroDivisionError):
        list(answers_in_order([1, 0, 2], lambda one: 1 // one, list, batch_size=1))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("linmap-photos")]


def test_a_batch_size_below_one_is_refused_before_anything_is_read():
    with pytest.raises(CaptioningError, match=r"The batch size is 0; it must be at least 1\."):
        answers_in_order(iter(["a"]), str, list, batch_size=0)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_too_little_memory_says_how_many_photos_and_what_to_do(error):
    wanted = r"^7 photos at a time do not fit in the memory of cpu; take a smaller batch size or fewer beams\.$"
    with pytest.raises(CaptioningError, match=wanted), fitting_in_memory(7, torch.device("cpu")):
        raise error
