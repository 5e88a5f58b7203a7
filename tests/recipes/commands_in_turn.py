"""Runs commands of linmap one after the other, in each of the processes that torchrun starts.

    torchrun --nproc_per_node=2 -m tests.recipes.commands_in_turn COMMANDS.json

The file holds a list of commands, each a list of words; `["rm", PATH, …]` is for the first process alone.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from torch import distributed

from linmap.cli.app import main
from linmap.recipes.launcher import is_first


def run(commands: list[list[str]]) -> None:
    torch.set_num_threads(1)
    for words in commands:
        if words[0] != "rm":
            code = main(words)
            assert code == 0, f"{words} ended with {code}"
            continue
        distributed.barrier()
        for path in map(Path, words[1:]) if is_first() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        distributed.barrier()


if __name__ == "__main__":
    run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
