"""Trains a dual encoder with `transformers.Trainer`: two linear heads, and the towers that are named, from pairs.

    python examples/train_dual_encoder.py --quick
    python examples/train_dual_encoder.py --captions captions.json --images photos/ --train text --output runs/lit

Without `--captions` it learns four example photos by heart, which shows the moving parts and nothing more. `--quick`
takes four steps. For real runs there is `linmap train linear-dual|lit|clip`, which encodes the photos of a locked tower
once and adds recipes, plots and resuming.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments

from linmap import DualEncoderModel, DualEncoderProcessor
from linmap.data import Captioned, DualPairCollator, pair_examples, read_captions
from linmap.dual.embedding import embed_photos, embed_texts
from linmap.evaluation import retrieval_recall

PHOTOS = Path(__file__).parent / "photos"
EXAMPLES = [
    Captioned(PHOTOS / "tennis.jpg", ("a tennis player serves on a clay court", "a man plays before full stands")),
    Captioned(PHOTOS / "birthday.jpg", ("four people sit at a table with a cake", "a family has a birthday party")),
    Captioned(PHOTOS / "street.jpg", ("a man leans on a post beside a blue car", "a car with its boot open")),
    Captioned(PHOTOS / "cat.jpg", ("a white cat eats from a bowl", "a cat next to a green bird")),
]


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-encoder", default="wheel:efficientnet-lite0")
    parser.add_argument("--text-encoder", default="wheel:all-minilm-l6-v2")
    parser.add_argument("--pooling", help="of the text encoder: mean, cls, eos or pooler, where it is not known")
    parser.add_argument("--train", nargs="*", choices=("image", "text"), default=[], help="towers that learn, too")
    parser.add_argument("--captions", type=Path, help="captions file; default: four photos")
    parser.add_argument("--images", type=Path, help="folder of its photos")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--output", type=Path, default=None, help="where the model goes; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="four steps")
    arguments = parser.parse_args()
    if arguments.captions and not arguments.images:
        parser.error("--captions needs --images, the folder of its photos")

    # 1. Two towers, and an untrained head on each. A tower that is not named stays frozen and is not saved.
    model = DualEncoderModel.from_backbones(
        arguments.image_encoder,
        arguments.text_encoder,
        text_pooling=arguments.pooling,
        trained_towers=arguments.train,
        image_dropout=0.2,
    )
    processor = DualEncoderProcessor.for_model(model)
    learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"{learned:,} weights learn; the others are frozen.")

    # 2. One example a caption, with a number for its photo: captions of one photo are never each other's negatives.
    captioned = read_captions(arguments.captions, arguments.images) if arguments.captions else EXAMPLES
    examples = pair_examples(captioned)

    # 3. The Trainer, as for any transformers model: it returns its loss, and its checkpoints hold what learned.
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=4 if arguments.quick else arguments.steps,
            per_device_train_batch_size=min(64, len(examples)),
            learning_rate=1e-3,
            logging_steps=2,
            save_strategy="no",
            remove_unused_columns=False,  # the collator takes photos and captions, not tensors
            label_names=[],
            use_cpu=not torch.accelerator.is_available(),  # several processes on a CPU know of each other only then
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
        ),
        data_collator=DualPairCollator(processor),
        train_dataset=examples,
    )
    trainer.train()

    # 4. How often a caption finds its photo now, and a folder that `linmap evaluate retrieval --model FOLDER` takes.
    images = embed_photos(model, processor, [photo.image for photo in captioned]).features
    texts = embed_texts(model, processor, [text for photo in captioned for text in photo.captions])
    owners = [row for row, photo in enumerate(captioned) for _ in photo.captions]
    scores = retrieval_recall(images, texts, owners, ks=(1,))
    print(
        f"Text to image R@1 on the training photos: {scores.text_to_image['R@1']:.0f} %, "
        f"chance {scores.chance_text_to_image['R@1']:.0f} %"
    )
    if arguments.output:
        model.save_pretrained(arguments.output)
        processor.save_pretrained(arguments.output)
        print(f"Saved to {arguments.output}")


if __name__ == "__main__":
    main()
