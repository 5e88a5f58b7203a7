"""Trains a linear vision prefix with `transformers.Trainer`: one linear layer between two frozen networks.

    python examples/train_linear_prefix.py --quick
    python examples/train_linear_prefix.py --captions captions.json --images photos/ --steps 2000 --output runs/mine

Without `--captions` it learns four example photos by heart, which shows the moving parts and nothing more. `--quick`
takes eight steps. `--figure` draws the photos with their captions. For real runs there is `linmap train`, which adds
recipes, plots, samples and resuming; on several graphics cards, this script under accelerate: see
examples/configurations.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments

from linmap import CaptionCollator, LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.data import Captioned, caption_examples, open_photo, read_captions
from linmap.evaluation import plot_captions
from linmap.prefix.captioning import caption_photos

PHOTOS = Path(__file__).parent / "photos"
EXAMPLES = [
    Captioned(PHOTOS / "tennis.jpg", ("a tennis player serves on a clay court",)),
    Captioned(PHOTOS / "birthday.jpg", ("four people sit at a table with a birthday cake",)),
    Captioned(PHOTOS / "street.jpg", ("a man leans on a post beside a blue car",)),
    Captioned(PHOTOS / "cat.jpg", ("a white cat eats from a bowl next to a green bird",)),
]


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="wheel:efficientnet-lite0")
    parser.add_argument("--language-model", default="wheel:smollm2-135m-instruct")
    parser.add_argument("--dtype", default="float32", help="of the frozen language model; bfloat16 for a large one")
    parser.add_argument("--captions", type=Path, help="captions file, Flickr8k-style or COCO; default: four photos")
    parser.add_argument("--images", type=Path, help="folder of its photos")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8, help="captions at a time, in each process")
    parser.add_argument("--figure", type=Path, help="also draw photos and captions into this PNG file")
    parser.add_argument("--output", type=Path, default=None, help="where the projection goes; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="eight steps")
    arguments = parser.parse_args()
    if arguments.captions and not arguments.images:
        parser.error("--captions needs --images, the folder of its photos")

    # 1. Two frozen networks and an untrained linear layer: the 7x7 grid averaged to 2x2 gives four prefix vectors.
    model = LinearVisionPrefixModel.from_backbones(
        arguments.encoder, arguments.language_model, grid_size=2, dtype=arguments.dtype
    )
    processor = LinearVisionPrefixProcessor.for_model(model, prompt="A picture of")
    learned = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    print(f"Learned: {', '.join(learned)}; everything else is frozen.")

    # 2. One example a caption; the collator puts placeholders, prompt, caption and end together, and marks what counts.
    captioned = read_captions(arguments.captions, arguments.images) if arguments.captions else EXAMPLES
    examples = caption_examples(captioned)

    # 3. The Trainer, as for any transformers model: it returns its loss, and its checkpoints hold the projection alone.
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=8 if arguments.quick else arguments.steps,
            per_device_train_batch_size=min(arguments.batch_size, len(examples)),
            learning_rate=3e-3,
            warmup_steps=2,
            max_grad_norm=1.0,
            logging_steps=4,
            save_strategy="no",
            remove_unused_columns=False,  # the collator takes photos and captions, not tensors
            label_names=["labels"],
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.accelerator.is_available(),  # several processes on a CPU know of each other only then
            report_to="none",
        ),
        data_collator=CaptionCollator(processor),
        train_dataset=examples,
        processing_class=processor,
    )
    trainer.train()

    # 4. A folder that `linmap caption --model FOLDER` takes, and what the model says now.
    if arguments.output:
        trainer.save_model()
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):  # whose parts no `generate` puts together
        shown = [record.image for record in captioned[:5]]
        answers = list(caption_photos(model.eval(), processor, shown, max_new_tokens=16))
        if trainer.is_world_process_zero():  # the only one, unless several were launched
            for answer in answers:
                print(f"{Path(str(answer.photo)).name}: {answer.caption or answer.error}")
            if arguments.figure:
                pictures = [open_photo(photo) for photo in shown]
                plot_captions(pictures, [answer.caption or "" for answer in answers], arguments.figure)
            if arguments.output:
                print(f"Saved to {arguments.output}")


if __name__ == "__main__":
    main()
