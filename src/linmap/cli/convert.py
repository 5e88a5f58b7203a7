"""`linmap convert`: checkpoints of the methods' original code, made into models of linmap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

ORIGINAL_DUAL_ENCODER = "open_clip:ViT-B-32/openai"


def register(app: typer.Typer) -> None:
    """Adds the command group to the program."""
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    group.command(name="limber", no_args_is_help=True)(limber)
    group.command(name="decap", no_args_is_help=True)(decap)
    group.command(name="clippo", no_args_is_help=True)(clippo)
    app.add_typer(group, name="convert")


def _group() -> None:
    """Make models of linmap from the checkpoints of a method's original code."""


def limber(
    projection: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A projection as released: proj.ckpt.")],
    recipe: Annotated[str, typer.Option(metavar="RECIPE", help="The recipe of its row in the paper, or a YAML file.")],
    out: Annotated[Path, typer.Option("--out", "--output", "-o", metavar="DIR", help="Folder to write, new or empty.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one value of the recipe; may be repeated."),
    ] = None,
) -> None:
    """Convert a projection that LiMBeR's authors released.

    Neither the encoder nor the language model is loaded, and no code in the file is run; the folder names both, and
    loading it finds them. clip_linear belongs to limber-clip-rn50x16, nfrn50_4096_linear to limber-nfrn50, beit_linear
    to limber-beit-large, beit_ft_linear to limber-beit-large-ft.

    [bold]Examples[/bold]

      linmap convert limber clip_linear/proj.ckpt --recipe limber-clip-rn50x16 --out limber-clip

      linmap caption dog.jpg --model limber-clip
    """
    from linmap.cli.messages import quiet_libraries

    quiet_libraries()
    from linmap.conversion import convert_limber

    typer.echo(f"Wrote {convert_limber(projection, out, recipe=recipe, overrides=change or [])}")


def decap(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The original's coco_prefix-NNN.pt.")],
    decoder_config: Annotated[
        Path, typer.Option(metavar="JSON", help="Configuration of its decoder; a pickle is never opened.")
    ],
    out: Annotated[Path, typer.Option("--out", "--output", "-o", metavar="DIR", help="Folder to write, new or empty.")],
    dual_encoder: Annotated[
        str, typer.Option(metavar="NAME", help="CLIP whose text latents the decoder learned from.")
    ] = ORIGINAL_DUAL_ENCODER,
) -> None:
    """Convert a checkpoint of DeCap's original code.

    Nothing is fetched, and no code in the files is run. What the folder lacks is a support memory of the same CLIP,
    which linmap memory build makes; --strategy visual needs none.

    [bold]Examples[/bold]

      linmap convert decap coco_prefix-009.pt --decoder-config decoder_config.json --out decap-coco

      linmap memory build captions.txt --model open_clip:ViT-B-32/openai --output memory

      linmap caption --decap decap-coco --memory memory dog.jpg
    """
    from linmap.cli.messages import quiet_libraries

    quiet_libraries()
    from linmap.conversion import convert_decap

    typer.echo(f"Wrote {convert_decap(checkpoint, decoder_config, out, dual_encoder=dual_encoder)}")


def clippo(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="An npz file of big_vision.")],
    out: Annotated[Path, typer.Option("--out", "--output", "-o", metavar="DIR", help="Folder to write, new or empty.")],
    image_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="PIXELS", help="Side of the images it shall see, if not those it learned from."),
    ] = None,
) -> None:
    """Convert a CLIPPO of big_vision, its authors' code.

    Sizes are read from the shapes in the file. Nothing is fetched, no code in the file is run, and what else a training
    left in it is not read. The authors' files are in gs://big_vision/clippo: clippo_b16_yfcc100m.npz,
    clippo_b16_yfcc100m_i21k_init.npz, the same with _25c4, _50c4 or _75c4, and clippo_b16_100c4.npz.

    [bold]Examples[/bold]

      linmap convert clippo clippo_b16_yfcc100m_i21k_init_25c4.npz --out clippo

      linmap evaluate retrieval --data captions.json --images photos/ --clippo clippo

    Larger images, as the paper fine-tunes for questions:

      linmap convert clippo clippo_b16_yfcc100m_i21k_init_25c4.npz --image-size 384 --out clippo-384
    """
    from linmap.cli.messages import quiet_libraries

    quiet_libraries()
    from linmap.conversion import convert_clippo

    typer.echo(f"Wrote {convert_clippo(checkpoint, out, image_size=image_size)}")
