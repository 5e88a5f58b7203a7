"""Trains a small CLIPPO with `transformers.Trainer`: one tower reads photos and drawn text, from pairs of either kind.

    python examples/clippo_pairs.py --quick
    python examples/clippo_pairs.py --captions captions.json --images photos/ --steps 2000 --output runs/clippo
    python examples/clippo_pairs.py --captions captions.json --images photos/ --text-pairs 0.5 --steps 2000

A text is drawn into a picture, and the vision transformer that embeds photos reads it; there is no tokenizer. Beside
photos with captions it may learn from pairs of texts, here two captions of one photo (`--text-pairs`, the share of a
batch), which teaches it language. Without `--captions` it learns four example photos by heart, which shows the moving
parts and nothing more. `--quick` takes six steps. For real runs there is `linmap train clippo-flickr8k-text-pairs`,
where every batch holds that very share and the captions of a photo never meet.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments

from linmap import ClippoConfig, ClippoModel, ClippoProcessor
from linmap.clippo.embedding import embed_photos, embed_texts
from linmap.data import Captioned, MixedPairCollator, pair_examples, photo_ids, read_captions
from linmap.data.text_pairs import CaptionPairs
from linmap.evaluation import retrieval_recall

PHOTOS = Path(__file__).parent / "photos"
EXAMPLES = [
    Captioned(PHOTOS / "tennis.jpg", ("a tennis player serves on a clay court", "a man plays before full stands")),
    Captioned(PHOTOS / "birthday.jpg", ("four people sit at a table with a cake", "a family has a birthday party")),
    Captioned(PHOTOS / "street.jpg", ("a man leans on a post beside a blue car", "a car with its boot open")),
    Captioned(PHOTOS / "cat.jpg", ("a white cat eats from a bowl", "a cat next to a green bird")),
]


def main() -> None:
    """Parses the command line, trains, measures retrieval beside chance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, help="captions file, Flickr8k-style or COCO; default: four photos")
    parser.add_argument("--images", type=Path, help="folder of its photos")
    parser.add_argument("--text-pairs", type=float, default=0.25, help="share of the examples, from 0 to below 1")
    parser.add_argument("--image-size", type=int, default=96, help="side of photos and drawn texts, in pixels")
    parser.add_argument("--width", type=int, default=64, help="channels of the tower; the paper's has 768")
    parser.add_argument("--layers", type=int, default=2, help="of the tower; the paper's has 12")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=0, help="processes that open photos and draw texts")
    parser.add_argument("--bf16", action="store_true", help="mixed precision, for a graphics card")
    parser.add_argument("--output", type=Path, help="where the model goes; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="six steps")
    arguments = parser.parse_args()
    if arguments.captions and not arguments.images:
        parser.error("--captions needs --images, the folder of its photos")
    if not 0 <= arguments.text_pairs < 1:
        parser.error("--text-pairs is a share: from 0, and below 1")
    torch.manual_seed(0)

    # 1. Photos with captions. Every tenth photo is measured on and not learned from; four are too few for that.
    captioned = read_captions(arguments.captions, arguments.images) if arguments.captions else EXAMPLES
    held_out = captioned[::10] if len(captioned) >= 10 else captioned
    learned = [photo for number, photo in enumerate(captioned) if number % 10] if held_out != captioned else captioned

    # 2. One example a caption, and for the share that is asked for pairs of captions of one photo. Examples of one
    #    `image_id` are never each other's negatives, of whichever kind.
    examples = pair_examples(learned)
    count = round(len(examples) * arguments.text_pairs / (1 - arguments.text_pairs))
    if count:
        pairs = CaptionPairs(learned, photo_ids([photo.image for photo in learned]))
        for number in range(count):
            first, second, group = pairs.pair(number % len(pairs), draw=number)
            examples.append({"first_caption": first, "caption": second, "image_id": group})
    print(f"{len(examples) - count:,} photos with a caption, {count:,} captions with another of the same photo")

    # 3. A tower from scratch. All of it learns: tower, head and temperature.
    model = ClippoModel(
        ClippoConfig(
            image_size=arguments.image_size,
            hidden_size=arguments.width,
            num_hidden_layers=arguments.layers,
            num_attention_heads=max(1, arguments.width // 32),
            intermediate_size=4 * arguments.width,
            projection_dim=arguments.width,
        )
    )
    processor = ClippoProcessor.for_model(model)
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} weights learn; there is no text tower.")

    # 4. The Trainer, as for any transformers model: it returns its loss.
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=6 if arguments.quick else arguments.steps,
            per_device_train_batch_size=min(arguments.batch_size, len(examples)),
            learning_rate=arguments.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            weight_decay=0.05,
            bf16=arguments.bf16,
            logging_steps=2 if arguments.quick else 20,
            save_strategy="no",
            remove_unused_columns=False,  # the collator takes photos and captions, not tensors
            label_names=[],
            dataloader_num_workers=arguments.workers,
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.accelerator.is_available(),  # several processes on a CPU know of each other only then
            report_to="none",
        ),
        data_collator=MixedPairCollator(processor),
        train_dataset=examples,
    )
    trainer.train()

    # 5. Which photo a caption finds, and which caption a photo, beside chance.
    where = "held-out" if held_out != captioned else "training"
    photos = embed_photos(model, processor, [photo.image for photo in held_out]).features
    texts = embed_texts(model, processor, [text for photo in held_out for text in photo.captions])
    owners = [row for row, photo in enumerate(held_out) for _ in photo.captions]
    k = 1 if len(held_out) < 20 else 10
    scores = retrieval_recall(photos, texts, owners, ks=(k,))
    print(
        f"On {len(held_out)} {where} photos, R@{k}: "
        f"text to image {scores.text_to_image[f'R@{k}']:.1f} % (chance {scores.chance_text_to_image[f'R@{k}']:.1f} %), "
        f"image to text {scores.image_to_text[f'R@{k}']:.1f} % (chance {scores.chance_image_to_text[f'R@{k}']:.1f} %)"
    )

    # 6. A folder that `linmap evaluate retrieval --clippo FOLDER` takes.
    if arguments.output:
        trainer.save_model()
        processor.save_pretrained(folder)
        print(f"Saved to {folder}")


if __name__ == "__main__":
    main()
