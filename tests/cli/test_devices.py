from __future__ import annotations

import pytest
import torch

from linmap.cli.devices import DTYPES, check_device, check_dtype, device_for, dtype_for
from linmap.errors import UnavailableDeviceError, UnknownNameError

CPU = torch.device("cpu")


def test_auto_takes_the_accelerator_where_there_is_one():
    assert (device_for("auto") == CPU) == (not torch.cuda.is_available() and not torch.backends.mps.is_available())


def test_a_misspelt_device_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"Unknown device 'cudo'\. Did you mean 'cuda'\? Known: auto, cpu, cuda"):
        check_device("cudo")


@pytest.mark.parametrize("name", ["cpu:1", "cuda:", "cuda:x", "auto:0", ""])
def test_a_device_with_a_senseless_number_is_unknown(name):
    with pytest.raises(UnknownNameError, match=r"Unknown device"):
        check_device(name)


def test_a_device_that_is_not_there_is_said_with_what_is():
    with pytest.raises(UnavailableDeviceError, match=r"This machine has no device 'cuda:99'\. It has: .*cpu\."):
        device_for("cuda:99")


def test_a_misspelt_dtype_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"Unknown dtype 'float61'\. Did you mean 'float16'\? Known: auto, "):
        check_dtype("float61")


@pytest.mark.parametrize("name", DTYPES[1:])
def test_a_dtype_that_is_named_is_taken(name):
    assert dtype_for(name, CPU, torch.float32) == getattr(torch, name)


def test_auto_on_an_accelerator_is_what_the_projection_was_trained_in():
    cuda = torch.device("cuda")
    assert dtype_for("auto", cuda, torch.bfloat16) == torch.bfloat16
    assert dtype_for("auto", cuda, torch.float16) == torch.float16
    assert dtype_for("auto", cuda, None) == torch.float32


@pytest.mark.parametrize("trained_in", [torch.bfloat16, torch.float16, torch.float32, None])
def test_auto_on_a_cpu_is_float32_so_that_batches_do_not_change_captions(trained_in):
    assert dtype_for("auto", CPU, trained_in) == torch.float32
