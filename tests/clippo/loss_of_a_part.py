"""The loss of a CLIPPO folder on one batch, in as many processes as torchrun starts; each holds its part of the batch.

    python -m torch.distributed.run --nproc_per_node=2 -m tests.clippo.loss_of_a_part FOLDER INPUTS.safetensors OUTPUT

Each process writes the loss it computed to OUTPUT-<rank>.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file

from linmap import ClippoModel


def main(folder: str, inputs: str, output: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, processes = dist.get_rank(), dist.get_world_size()
    model = ClippoModel.from_pretrained(folder)
    held = load_file(inputs)
    part = {name: rows.chunk(processes)[rank] for name, rows in held.items()}
    with torch.no_grad():
        loss = model(**part, return_loss=True).loss
    Path(f"{output}-{rank}.json").write_text(json.dumps(loss.item()), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
