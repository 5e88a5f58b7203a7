from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from importlib.metadata import version

import pytest

PROGRAM = [sys.executable, "-m", "linmap"]


def test_help_is_there_within_a_second_and_without_torch():
    heavy = "assert not {'torch', 'transformers', 'timm', 'numpy', 'PIL'} & set(sys.modules), sorted(sys.modules)"
    code = f"import sys; from linmap.cli.app import main; code = main(['--help']); {heavy}; sys.exit(code)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 0, ran.stderr
    assert "linmap caption photo.jpg" in ran.stdout
    # Seconds of the processor, not of the clock: other programs may hold the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.parametrize(
    "command",
    [
        ["caption"],
        ["info"],
        ["train"],
        ["evaluate", "caption"],
        ["evaluate", "retrieval"],
        ["evaluate", "zero-shot"],
        ["evaluate", "probe"],
        ["evaluate", "gap"],
    ],
    ids=" ".join,
)
def test_every_command_teaches_by_example(linmap, command):
    ran = linmap(*command, "--help")
    assert ran.code == 0
    assert "Examples" in ran.out
    assert f"linmap {' '.join(command)}" in ran.out


def test_the_version_is_the_installed_one(linmap):
    assert linmap("--version").out == f"linmap {version('linmap')}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["captoin"], "No such command 'captoin'. Did you mean 'caption'? See: linmap --help"),
        (["caption", "a.jpg", "--num-beam", "4"], "--num-beams"),
        (["caption", "a.jpg", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["caption", "a.jpg", "--batch-size", "many"], "See: linmap caption --help"),
        (["caption", "--json"], "Missing argument"),
    ],
)
def test_a_wrong_word_is_one_line_that_points_to_the_help(linmap, arguments, words):
    ran = linmap(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err


@pytest.mark.parametrize("command", [[], ["caption"], ["evaluate"], ["evaluate", "retrieval"]], ids=str)
def test_a_command_alone_prints_its_help_and_no_error(linmap, command):
    ran = linmap(*command)
    assert ran.out.strip() == linmap(*command, "--help").out.strip()
    assert (ran.code, ran.err) == (2, "")


def test_a_program_that_is_interrupted_ends_quietly(model_dir, photos):
    many = [str(photos / "a.jpg")] * 20_000
    with subprocess.Popen(
        [*PROGRAM, "caption", *many, "--model", str(model_dir), "--batch-size", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell lets what it starts in the background ignore the signal, and children would, too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline()  # the first caption: it works
        running.send_signal(signal.SIGINT)
        _, written = running.communicate(timeout=60)
    assert (running.returncode, written) == (130, "")


def test_a_reader_that_leaves_early_gets_no_traceback(model_dir, photos):
    many = [str(photos / "a.jpg")] * 200
    with subprocess.Popen(
        [*PROGRAM, "caption", *many, "--model", str(model_dir), "--batch-size", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == ""
    assert running.returncode == 1


def test_a_mistake_of_our_own_is_one_line_and_another_exit_code():
    code = (
        "import sys, linmap.cli.app as cli\n"
        "@cli.app.command()\n"
        "def fall() -> None:\n"
        "    raise ZeroDivisionError('three\\nlines\\nlong')\n"
        "sys.exit(cli.main(['fall']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("linmap: error: ZeroDivisionError: three lines long (unexpected; LINMAP_TRACEBACK=1")
    assert ran.stderr.count("\n") == 1
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LINMAP_TRACEBACK": "1"},
    )
    assert "Traceback" in shown.stderr
