"""Run by torchrun in two processes: a frozen language model shared out block by block (FSDP2) beside a whole one."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import distributed
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from linmap import LinearVisionPrefixModel
from linmap.encoders import load_encoder

language_model, output = sys.argv[1:]
distributed.init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
torch.manual_seed(0)
whole, sharded = (
    LinearVisionPrefixModel.from_backbones(
        load_encoder("timm:test_vit", pretrained=False, seed=0), language_model, grid_size=2
    )
    for _ in range(2)
)
sharded.projector.load_state_dict(whole.projector.state_dict())
for block in sharded.language_model.transformer.h:
    fully_shard(block, mesh=mesh, reshard_after_forward=True)
fully_shard(sharded, mesh=mesh)
assert all(isinstance(weight, DTensor) for weight in sharded.parameters())

pixel_values = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
input_ids = torch.tensor([[whole.config.image_token_id] * 4 + [7, 8, 9]] * 2)
labels = input_ids.masked_fill(input_ids == whole.config.image_token_id, -100)
losses = []
for model in (whole, sharded):
    losses.append(model.train()(input_ids, pixel_values=pixel_values, labels=labels).loss)
    losses[-1].backward()
torch.testing.assert_close(losses[0], losses[1])
torch.testing.assert_close(sharded.projector.weight.grad.full_tensor(), whole.projector.weight.grad)
assert all(weight.grad is None for weight in sharded.language_model.parameters())

gathered = get_model_state_dict(sharded, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
if distributed.get_rank() == 0:  # what the Trainer does to save
    sharded.save_pretrained(output, state_dict=gathered)
    saved = load_file(Path(output) / "model.safetensors")
    assert saved.keys() == {"projector.weight", "projector.bias"}
    assert saved["projector.weight"].equal(whole.projector.weight)
    print("the same loss, gradient and checkpoint")  # noqa: T201 (what the test reads)
distributed.barrier()
distributed.destroy_process_group()
