"""`linmap app` before there is a page: what is wrong is one line."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from linmap.cli.app_page.serving import free_port
from linmap.errors import LinmapError


def test_help_says_what_the_tabs_are_and_what_to_install(linmap):
    ran = linmap("app", "--help")
    assert ran.code == 0
    words = " ".join(ran.out.split())
    assert 'pip install "linmap[app]"' in words
    assert "questions behind solved examples" in words


def test_without_gradio_it_says_what_to_install(linmap, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    ran = linmap("app", "--no-open")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "linmap: error: gradio is not installed. Run: python -m pip install 'linmap[app]'\n"


def test_a_wrong_model_device_or_port_is_told_before_the_page_is_made(linmap):
    assert "There is no folder './nowhere'" in linmap("app", "--model", "./nowhere").err
    assert "Unknown device 'gpu'" in linmap("app", "--device", "gpu").err
    assert "Invalid value for '--port'" in linmap("app", "--port", 70000).err


def test_a_port_that_is_taken_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LinmapError, match=rf"cannot listen on 127.0.0.1:{port} \(Address already in use\)"):
            free_port("127.0.0.1", port)
        assert free_port("127.0.0.1", 0) != port


def test_an_address_of_another_machine_is_told():
    with pytest.raises(LinmapError, match=r"cannot listen on 192.0.2.1, ports 7860 to 7959 .* --host"):
        free_port("192.0.2.1", None)


def test_the_program_does_not_import_gradio_before_the_page_is_asked_for():
    code = "import linmap.cli.app, sys; sys.exit('gradio' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
