"""Puts an image encoder of your own in front of a language model: timm's, transformers', or any network of torch.

    python examples/your_own_encoder.py --kind module --quick
    python examples/your_own_encoder.py --kind timm --name timm:vit_small_patch16_dinov3.lvd1689m --output runs/dinov3
    python examples/your_own_encoder.py --kind transformers --name hf:my-encoder/ --output runs/mine

`--kind timm` and `--kind transformers` take a name. `--kind module` wraps a network that linmap knows nothing of,
`TinyNet` below, as a model of transformers: a configuration, a `forward` that gives features in their places, and two
lines that tell the Auto classes. Saved with its image processor it is a folder like any on the Hub, named `hf:FOLDER`.
Its weights are known by their digest: a projection is not loaded behind others than it was trained with.

Without a name the encoders are small and untrained, so that nothing is fetched: the captions are worth nothing. The
language model is the bundled one. `--quick` takes four steps.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPImageProcessor,
    Dinov2Config,
    Dinov2Model,
    PreTrainedConfig,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling

from linmap import CaptionCollator, LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.data import Captioned, caption_examples, read_captions
from linmap.encoders import ImageEncoder, load_encoder
from linmap.prefix.captioning import caption_photos

PHOTOS = Path(__file__).parent / "photos"
EXAMPLES = [
    Captioned(PHOTOS / "tennis.jpg", ("a tennis player serves on a clay court",)),
    Captioned(PHOTOS / "birthday.jpg", ("four people sit at a table with a birthday cake",)),
    Captioned(PHOTOS / "street.jpg", ("a man leans on a post beside a blue car",)),
    Captioned(PHOTOS / "cat.jpg", ("a white cat eats from a bowl next to a green bird",)),
]


class TinyNet(nn.Module):
    """Stands for your network: photos (batch, 3, 64, 64) to a map of features (batch, 48, 4, 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, channels, 8, stride=8), nn.GELU(), nn.Conv2d(channels, channels, 2, 2))

    def forward(self, images: Tensor) -> Tensor:
        """The map of features."""
        return self.layers(images)


class TinyNetConfig(PreTrainedConfig):
    """What is needed to build the network again."""

    model_type = "tiny_net"
    channels: int = 48
    image_size: int = 64


class TinyNetModel(PreTrainedModel):
    """The network as a model of transformers; linmap reads its `last_hidden_state` and `pooler_output`."""

    config: TinyNetConfig
    config_class = TinyNetConfig
    main_input_name = "pixel_values"

    def __init__(self, config: TinyNetConfig) -> None:
        super().__init__(config)
        self.network = TinyNet(config.channels)
        self.post_init()

    def forward(self, pixel_values: Tensor) -> BaseModelOutputWithPooling:
        """A map (batch, channels, height, width), or tokens (batch, height * width, channels), and their mean."""
        features = self.network(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=features.mean(dim=(2, 3)))


# Whoever loads a model with this encoder has to have imported this: nothing that comes with a checkpoint is run.
AutoConfig.register("tiny_net", TinyNetConfig, exist_ok=True)
AutoModel.register(TinyNetConfig, TinyNetModel, exist_ok=True)


def main() -> None:
    """Parses the command line, makes the encoder, trains, saves, loads back, captions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("module", "timm", "transformers"), default="module")
    parser.add_argument("--name", help="timm:NAME, or hf:FOLDER; default: a small untrained one of that kind")
    parser.add_argument("--grid-size", type=int, default=2, help="cells a side that the grid is averaged to")
    parser.add_argument("--language-model", default="wheel:smollm2-135m-instruct")
    parser.add_argument("--captions", type=Path, help="captions file, Flickr8k-style or COCO; default: four photos")
    parser.add_argument("--images", type=Path, help="folder of its photos")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--output", type=Path, help="where encoder and projection go; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="four steps")
    arguments = parser.parse_args()
    if arguments.captions and not arguments.images:
        parser.error("--captions needs --images, the folder of its photos")
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))
    torch.manual_seed(0)

    # 1. The encoder by a name that is found again. A network of your own gets one by being saved.
    options: dict[str, object] = {}
    if arguments.name:
        name = arguments.name
    elif arguments.kind == "timm":
        name, options = "timm:test_vit", {"pretrained": False, "seed": 0}
    else:
        name = f"hf:{_saved(arguments.kind, folder / 'encoder')}"
    encoder = load_encoder(name, **options)
    print(_facts(encoder))

    # 2. The projection: from the encoder's features to the language model's input space.
    model = LinearVisionPrefixModel.from_backbones(
        encoder, arguments.language_model, grid_size=arguments.grid_size, dtype="float32"
    )
    processor = LinearVisionPrefixProcessor.for_model(model)
    print(f"{model.projector}: {model.config.num_image_tokens} image tokens")

    # 3. The Trainer, as for any transformers model.
    captioned = read_captions(arguments.captions, arguments.images) if arguments.captions else EXAMPLES
    examples = caption_examples(captioned)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=4 if arguments.quick else arguments.steps,
            per_device_train_batch_size=min(8, len(examples)),
            learning_rate=3e-3,
            warmup_steps=2,
            logging_steps=2 if arguments.quick else 10,
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
    trainer.save_model()

    # 4. Loaded back: the encoder is found under its name, and its digest compared.
    again = LinearVisionPrefixModel.from_pretrained(folder)
    assert again.projector.weight.equal(model.projector.weight.cpu())
    print(f"Loaded back with {again.encoder.fingerprint.name}, sha256 {again.encoder.fingerprint.sha256 or 'none'}")
    for answer in caption_photos(again, processor, [photo.image for photo in captioned[:4]], max_new_tokens=12):
        print(f"{Path(str(answer.photo)).name}: {answer.caption or answer.error}")
    if arguments.output:
        print(f"Saved to {folder}")


def _saved(kind: str, folder: Path) -> Path:
    """A small untrained encoder in a folder, with the image processor that belongs to it."""
    if kind == "module":
        model: PreTrainedModel = TinyNetModel(TinyNetConfig())
    else:
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64}
        model = Dinov2Model(Dinov2Config(patch_size=16, **sizes))
    model.save_pretrained(folder)
    side = {"height": 64, "width": 64}
    CLIPImageProcessor(size=side, do_center_crop=False).save_pretrained(folder)
    return folder


def _facts(encoder: ImageEncoder) -> str:
    height, width = encoder.grid
    return (
        f"{encoder.fingerprint.name}: images of {encoder.config.image_size} pixels, {height} x {width} cells of "
        f"{encoder.feature_dim} channels, pooled {encoder.pooled_dim}; frozen"
    )


if __name__ == "__main__":
    main()
