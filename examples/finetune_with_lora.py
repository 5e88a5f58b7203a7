"""Fine-tunes a captioner with LoRA on its language model, with `transformers.Trainer` and peft.

    python examples/finetune_with_lora.py --quick
    python examples/finetune_with_lora.py --captions captions.json --images photos/ --steps 500 --output runs/lora

It starts from the bundled captioner, or one of your own (`--model`). The projection goes on learning, and so do two
narrow matrices beside each query and value matrix of the language model; everything else stays frozen. Without
`--captions` it learns four example photos by heart, which shows the moving parts and nothing more. `--quick` takes
four steps.

The paper leaves the language model as it is, and what a caption then says comes from the linear layer alone. With LoRA
that is no longer so: this is for captions in a style or a domain of your own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import Trainer, TrainingArguments

from linmap import CaptionCollator, LinearVisionPrefixModel, LinearVisionPrefixProcessor, default_model
from linmap.data import Captioned, caption_examples, read_captions
from linmap.prefix.captioning import caption_photos

PHOTOS = Path(__file__).parent / "photos"
EXAMPLES = [
    Captioned(PHOTOS / "tennis.jpg", ("a tennis player serves on a clay court",)),
    Captioned(PHOTOS / "birthday.jpg", ("four people sit at a table with a birthday cake",)),
    Captioned(PHOTOS / "street.jpg", ("a man leans on a post beside a blue car",)),
    Captioned(PHOTOS / "cat.jpg", ("a white cat eats from a bowl next to a green bird",)),
]


def main() -> None:
    """Parses the command line, trains, saves, loads back, captions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or Hub id of the captioner to start from; default: the bundled one")
    parser.add_argument("--captions", type=Path, help="captions file, Flickr8k-style or COCO; default: four photos")
    parser.add_argument("--images", type=Path, help="folder of its photos")
    parser.add_argument("--rank", type=int, default=8, help="width of LoRA's matrices")
    parser.add_argument("--targets", default="q_proj,v_proj", help="matrices of the language model that get them")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--bf16", action="store_true", help="mixed precision, for a graphics card")
    parser.add_argument("--merge", action="store_true", help="also write a folder that needs neither peft nor start")
    parser.add_argument("--output", type=Path, help="where the adapter goes; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="four steps")
    arguments = parser.parse_args()
    if arguments.captions and not arguments.images:
        parser.error("--captions needs --images, the folder of its photos")
    if arguments.merge and not arguments.output:
        parser.error("--merge needs --output, the folder to write into")
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))

    # 1. Photos with captions. Every tenth photo is measured on and not learned from; four are too few for that.
    captioned = read_captions(arguments.captions, arguments.images) if arguments.captions else EXAMPLES
    held_out = captioned[::10] if len(captioned) >= 10 else captioned
    learned = [photo for number, photo in enumerate(captioned) if number % 10] if held_out != captioned else captioned
    where = "held-out" if held_out != captioned else "training"

    # 2. A trained captioner. `target_modules` is an expression, so that an image encoder with matrices of these names
    #    gets none; `modules_to_save` keeps the projection learning and saves it with the adapter. Without it the
    #    projection would be frozen and left out of what is saved.
    start = arguments.model or default_model()
    model = LinearVisionPrefixModel.from_pretrained(start, dtype="float32")
    processor = LinearVisionPrefixProcessor.from_pretrained(start)
    tuned = get_peft_model(
        model,
        LoraConfig(
            r=arguments.rank,
            lora_alpha=2 * arguments.rank,
            lora_dropout=0.05,
            target_modules=rf"language_model\..*\.({arguments.targets.replace(',', '|')})",
            modules_to_save=["projector"],
        ),
    )
    tuned.print_trainable_parameters()

    # 3. The Trainer, as for any transformers model.
    trainer = Trainer(
        model=tuned,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=4 if arguments.quick else arguments.steps,
            per_device_train_batch_size=arguments.batch_size,
            per_device_eval_batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            warmup_steps=0.1,
            bf16=arguments.bf16,
            logging_steps=2 if arguments.quick else 10,
            save_strategy="no",
            remove_unused_columns=False,  # the collator takes photos and captions, not tensors
            label_names=["labels"],
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.accelerator.is_available(),  # several processes on a CPU know of each other only then
            report_to="none",
        ),
        data_collator=CaptionCollator(processor),
        train_dataset=caption_examples(learned),
        eval_dataset=caption_examples(held_out),
    )
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    after = trainer.evaluate()["eval_loss"]
    print(f"Loss on {len(held_out)} {where} photos, nats a token: {before:.3f} before, {after:.3f} after")

    # 4. The adapter holds LoRA's matrices and the projection: a few megabytes. The start and the frozen parts are
    #    named, not copied.
    trainer.save_model()
    processor.save_pretrained(folder)
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    print(f"The adapter with its projection: {size / 1e6:.1f} MB")

    # 5. Loaded back: the same start, and the adapter on it.
    again = PeftModel.from_pretrained(LinearVisionPrefixModel.from_pretrained(start, dtype="float32"), folder).eval()
    for answer in caption_photos(again, processor, [photo.image for photo in held_out[:5]]):
        print(f"{Path(str(answer.photo)).name}: {answer.caption or answer.error}")
    if arguments.output:
        print(f"Saved to {folder}")

    # 6. Merged, the language model is another one than the start's. A folder that holds it whole needs nothing else,
    #    and `linmap caption --model FOLDER` takes it.
    if arguments.merge:
        merged = again.merge_and_unload()
        merged.requires_grad_(False)
        merged.save_pretrained(folder / "merged", include_backbones=True)
        processor.save_pretrained(folder / "merged")
        print(f"Merged into {folder / 'merged'}")


if __name__ == "__main__":
    main()
