"""Trains a tiny dual encoder with transformers' Trainer; run alone, or by torchrun in several processes.

    python -m tests.dual.train_pairs TEXT_ENCODER_DIR OUTPUT BATCH_SIZE [TRAINED_TOWER …] [--mini-batch-size N]

BATCH_SIZE is that of one process. The weights after three steps are written to OUTPUT by the first process.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Trainer, TrainingArguments

from linmap import DualEncoderModel


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text_encoder")
    parser.add_argument("output")
    parser.add_argument("batch_size", type=int)
    parser.add_argument("trained", nargs="*")
    parser.add_argument("--mini-batch-size", type=int)
    parser.add_argument("--loss", default="softmax")
    said = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = DualEncoderModel.from_backbones(
        "timm:test_vit",
        f"hf:{said.text_encoder}",
        text_pooling="mean",
        projection_dim=8,
        trained_towers=said.trained,
        loss=said.loss,
        mini_batch_size=said.mini_batch_size,
        image_encoder_kwargs={"pretrained": False, "seed": 0},
    )
    generator = torch.Generator().manual_seed(1)
    pairs = [
        {
            "pixel_values": torch.randn(3, 160, 160, generator=generator),
            "input_ids": torch.randint(3, 300, (6,), generator=generator),
            "image_ids": torch.tensor(number // 2),
        }
        for number in range(24)
    ]

    def collate(batch: list[dict[str, torch.Tensor]]) -> dict[str, object]:
        return {key: torch.stack([pair[key] for pair in batch]) for key in batch[0]} | {"return_loss": True}

    arguments = TrainingArguments(
        output_dir=str(Path(said.output).parent),
        max_steps=3,
        per_device_train_batch_size=said.batch_size,
        learning_rate=1e-2,
        optim="sgd",
        max_grad_norm=1.0,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        seed=0,
        use_cpu=True,
        ddp_backend="gloo" if "RANK" in os.environ else None,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=[],
        dataloader_pin_memory=False,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=pairs, data_collator=collate)
    trainer.train()
    if trainer.is_world_process_zero():
        learned = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
        save_file(learned, said.output)


if __name__ == "__main__":
    main()
