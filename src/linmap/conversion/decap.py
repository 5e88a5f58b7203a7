"""The checkpoint of DeCap's original code (`coco_prefix-009.pt`, its decoder's configuration) as a model of linmap."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import GPT2Config

from linmap.conversion.torch_files import tensors_saved_by_torch
from linmap.decap.checkpoints import MAX_NEW_TOKENS
from linmap.decap.configuration import DeCapConfig
from linmap.decap.modeling import DeCapModel
from linmap.decap.processing import DeCapProcessor
from linmap.decap.vocabulary import write_only
from linmap.encoders import image_processor_for, load_encoder
from linmap.encoders.open_clip_files import model_config
from linmap.errors import ConversionError, OutputFolderError, first_line
from linmap.text_encoders.open_clip_tokens import clip_tokenizer
from linmap.weights import Fingerprint

__all__ = ["ORIGINAL_DUAL_ENCODER", "convert_decap", "decoder_config", "original_decap", "renamed"]

ORIGINAL_DUAL_ENCODER = "open_clip:ViT-B-32/openai"
"""The CLIP whose latents the original's published decoders were trained on."""

ORIGINAL_MAX_LENGTH = 20
"""Tokens of a caption that the original learned."""

MASKS = re.compile(r"decoder\.transformer\.h\.\d+\.attn\.(bias|masked_bias)")
"""Constants, the causal mask among them, that older releases of transformers wrote with the weights."""

NAMES = {"clip_project.model.0.": "projector."}

ARCHITECTURE = (
    *("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner", "activation_function"),
    *("resid_pdrop", "embd_pdrop", "attn_pdrop", "layer_norm_epsilon", "initializer_range", "tie_word_embeddings"),
    *("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"),
)
"""What of the decoder's configuration says what it computes. Its settings for generation are GPT-2's and do not fit."""

HOW_TO_GET_JSON = (
    "python -c \"import pickle; print(pickle.load(open({name!r}, 'rb')).to_json_string(use_diff=False))\" > {json}"
)


def convert_decap(
    checkpoint: str | Path,
    decoder: str | Path,
    output: str | Path,
    *,
    dual_encoder: str = ORIGINAL_DUAL_ENCODER,
) -> Path:
    """Makes a folder for `DeCapModel.from_pretrained` and `DeCapProcessor.from_pretrained` of the original's files.

    Needs no network: CLIP is named in it and not loaded. Loading the folder does load it, unless `dual_encoder=False`.

    Args:
        checkpoint: The original's `coco_prefix-NNN.pt`, a state dict.
        decoder: Its decoder's configuration as JSON; see `decoder_config`.
        output: Folder to write, new or empty.
        dual_encoder: The CLIP whose text latents the decoder was trained on, as `open_clip:NAME/TAG`.

    Returns:
        The folder.

    Raises:
        ConversionError: A file is not what it must be; the message says what was found.
        EncoderError: open_clip has no such model.
        OutputFolderError: Something is in the folder.

    Example:
        >>> convert_decap("coco_prefix-009.pt", "decoder_config.json", "decap-coco")  # doctest: +SKIP
        PosixPath('decap-coco')
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise OutputFolderError(f"{folder} is a file; choose a folder to write the model to.")
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputFolderError(f"{folder} holds files already, which are not overwritten; choose another folder.")
    model, processor = original_decap(checkpoint, decoder, dual_encoder=dual_encoder)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def original_decap(
    checkpoint: str | Path, decoder: str | Path, *, dual_encoder: str = ORIGINAL_DUAL_ENCODER
) -> tuple[DeCapModel, DeCapProcessor]:
    """The original's model, without its dual encoder and without a memory, and its processor.

    The decoder has GPT-2's 50,257 classes, of which CLIP's tokenizer names 49,408: the others are never written. As in
    the original no token begins a caption (the decoder writes CLIP's own beginning, 49406), it ends at 49407 or after
    30 tokens, and 20 tokens of a text are learned.

    Args:
        checkpoint: See `convert_decap`.
        decoder: As there.
        dual_encoder: As there.

    Raises:
        ConversionError: A file is not what it must be.
        EncoderError: open_clip has no such model.
    """
    text = decoder_config(decoder)
    weights = renamed(tensors_saved_by_torch(checkpoint))
    projector = weights.get("projector.weight")
    if projector is None or projector.ndim != 2:
        raise ConversionError(
            f"{checkpoint} holds no weight clip_project.model.0.weight of shape (width, latent), so it is no "
            f"checkpoint of DeCap. Found: {_some(sorted(weights))}."
        )
    latent_dim = projector.shape[1]
    tokenizer = clip_tokenizer()
    if text.vocab_size < len(tokenizer):
        raise ConversionError(
            f"{decoder} says that the decoder has {text.vocab_size} classes; CLIP's tokenizer needs {len(tokenizer)}. "
            "Give the configuration that belongs to the checkpoint."
        )
    text.bos_token_id, text.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    text.pad_token_id = tokenizer.pad_token_id
    name = f"open_clip:{dual_encoder.removeprefix('open_clip:')}"
    _require_width(name, latent_dim)
    found = Fingerprint(name=name, library="linmap", id=name.removeprefix("open_clip:"))
    model = DeCapModel(
        DeCapConfig(text_config=text, latent_dim=latent_dim, backbones={"dual_encoder": found.to_dict()})
    )
    _require_fitting(weights, model.state_dict(), checkpoint, decoder)
    if text.tie_word_embeddings:
        _require_tied(weights, checkpoint)
    model.load_state_dict(weights)
    model.generation_config.max_new_tokens = MAX_NEW_TOKENS
    write_only(model.generation_config, tokenizer, text.vocab_size)
    with torch.device("meta"):  # for its preprocessing, which belongs to the name
        encoder = load_encoder(name, pretrained=False)
    processor = DeCapProcessor(image_processor_for(encoder.config), tokenizer, max_length=ORIGINAL_MAX_LENGTH)
    return model.eval(), processor


def decoder_config(path: str | Path) -> GPT2Config:
    """The decoder's configuration from JSON, as `GPT2Config.to_json_string` writes it; what is left out is GPT-2's own.

    The original keeps it as a pickle, `decoder_config.pkl`. A pickle runs whatever code it holds, so it is not opened.

    Raises:
        ConversionError: It is a pickle, no JSON, or not of a GPT-2 that stands alone.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConversionError(f"{path}: it cannot be read ({error.strerror}); check the path.") from error
    if file.suffix in (".pkl", ".pickle") or content[:1] == b"\x80":
        how = HOW_TO_GET_JSON.format(name=file.name, json=file.with_suffix(".json").name)
        raise ConversionError(
            f"{path} is a pickle, which can run any code, so it is never opened here. Where you trust it, make JSON of "
            f"it yourself: {how}"
        )
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{path} is no JSON ({first_line(error)}); give the decoder's configuration.") from error
    if not isinstance(facts, dict) or facts.get("model_type", "gpt2") != "gpt2" or "n_head" not in facts:
        raise ConversionError(
            f"{path} is not the configuration of a GPT-2: no n_head, which no weight tells, or another model_type. "
            "Write it with config.to_json_string(use_diff=False)."
        )
    if facts.get("add_cross_attention"):
        raise ConversionError(f"{path} is of a decoder with cross-attention; DeCap's has none.")
    try:
        return GPT2Config(**{name: facts[name] for name in ARCHITECTURE if name in facts})
    except (StrictDataclassError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConversionError(f"{path} does not configure a GPT-2: {reason}") from error


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original's weights under the names of `DeCapModel`, in float32; masks that are no weights are left out.

    Example:
        >>> held = {"clip_project.model.0.bias": torch.zeros(2), "decoder.transformer.h.0.attn.bias": torch.ones(1)}
        >>> renamed(held)
        {'projector.bias': tensor([0., 0.])}
    """
    ours = {}
    for name, tensor in weights.items():
        if MASKS.fullmatch(name):
            continue
        for theirs, replacement in NAMES.items():
            name = replacement + name.removeprefix(theirs) if name.startswith(theirs) else name
        ours[name] = tensor.float()
    return ours


def _require_width(dual_encoder: str, latent_dim: int) -> None:
    width = model_config(dual_encoder.removeprefix("open_clip:").partition("/")[0])["embed_dim"]
    if width != latent_dim:
        raise ConversionError(
            f"The decoder was trained on latents of {latent_dim} channels, and those of {dual_encoder} have {width}. "
            "Name the CLIP it was trained on."
        )


def _require_fitting(
    weights: Mapping[str, Tensor], needed: Mapping[str, Tensor], checkpoint: str | Path, decoder: str | Path
) -> None:
    missing, unexpected = sorted(needed.keys() - weights.keys()), sorted(weights.keys() - needed.keys())
    if missing or unexpected:
        lacks = f" It lacks {_some(missing)}." if missing else ""
        more = f" It has in addition {_some(unexpected)}." if unexpected else ""
        raise ConversionError(
            f"{checkpoint} is not the checkpoint of a DeCap with the decoder of {decoder}.{lacks}{more} Give the "
            "configuration it was trained with."
        )
    for name, weight in needed.items():
        if weights[name].shape != weight.shape:
            raise ConversionError(
                f"{checkpoint} does not fit the decoder of {decoder}: {name} has the shape "
                f"{tuple(weights[name].shape)}, needed {tuple(weight.shape)}. Give the configuration it was trained "
                "with."
            )


def _require_tied(weights: Mapping[str, Tensor], checkpoint: str | Path) -> None:
    if not torch.equal(weights["decoder.lm_head.weight"], weights["decoder.transformer.wte.weight"]):
        raise ConversionError(
            f"{checkpoint} holds a head that differs from the embedding table, and the configuration says that they "
            "are one (tie_word_embeddings). Give the configuration it was trained with."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"
