"""Text towers of open_clip."""

from __future__ import annotations

from typing import Any

import open_clip
from open_clip.transformer import TextTransformer, text_global_pool
from torch import Tensor, nn

from linmap.encoders.names import EncoderName
from linmap.encoders.open_clip_files import (
    load_open_clip_model,
    model_arguments,
    model_config,
    pretrained_entry,
)
from linmap.errors import EncoderError, WeightsUnavailableError, first_line
from linmap.text_encoders.open_clip_tokens import open_clip_pad_token_id
from linmap.text_encoders.tower import LoadedTextTower, TextTower
from linmap.weights.identity import Fingerprint

__all__ = ["OpenClipTextTower", "facts_of_text_tower", "load_open_clip_text"]

# The image tower is not wanted: the smallest one that open_clip builds takes its place.
NO_IMAGES = {"image_size": 1, "patch_size": 1, "width": 64, "head_width": 64, "layers": 1}


class OpenClipTextTower(TextTower):
    """The text tower of an open_clip model, which pools as it was trained to (`"pooler"`), not normalised.

    Args:
        architecture: Name of an open_clip model configuration.
        model_args: `quick_gelu`; `projection`, False where the tower is without its last matrix.
    """

    def __init__(self, architecture: str, model_args: dict[str, Any]) -> None:
        super().__init__(architecture, model_args)
        config = model_config(architecture)
        self.network: Any = open_clip.CustomTextCLIP(
            embed_dim=config["embed_dim"],
            vision_cfg=NO_IMAGES,
            text_cfg={**config["text_cfg"], "hf_model_pretrained": False},
            quick_gelu=model_args.get("quick_gelu", config.get("quick_gelu", False)),
        ).text
        if not model_args.get("projection", True):
            self.drop_projection()

    def take_weights(self, model: nn.Module) -> None:
        """Copies the text tower of a whole open_clip model, whose plain CLIP class has its parts lying loose."""
        weights = getattr(model, "text", model).state_dict()
        self.network.load_state_dict({key: weights[key] for key in self.network.state_dict()})

    def drop_projection(self) -> Tensor | None:
        """Takes the matrix (width, embedding) away that projects the pooled feature, and returns it.

        None where there is no plain matrix (projections with a bias, towers of transformers): the tower stays as it is.
        """
        projection = getattr(self.network, "text_projection", None)
        if not isinstance(projection, nn.Parameter):
            return None
        self.network.text_projection = None
        return projection.detach()

    def features(self, input_ids: Tensor, attention_mask: Tensor | None, pooling: str) -> Tensor:
        """As `TextTower.features`. The ids of open_clip's own tokenizer need no mask."""
        if attention_mask is not None:  # the tower's own padding tells it where a text ends
            input_ids = input_ids.masked_fill(attention_mask == 0, self._pad_token_id)
        if not isinstance(self.network, TextTransformer):
            return self.network(input_ids)
        if not self.reads_padding:
            return self._features_without_padding(input_ids)
        pooled = self.network(input_ids)
        return pooled[0] if isinstance(pooled, tuple) else pooled  # CoCa's tower gives its tokens as well

    @property
    def _pad_token_id(self) -> int:
        network = self.network
        return int(network.pad_id if isinstance(network, TextTransformer) else network.config.pad_token_id)

    @property
    def reads_padding(self) -> bool:
        """Whether what stands behind a text changes its features: no causal mask, or the last position is taken."""
        network = self.network
        if not isinstance(network, TextTransformer):
            return False
        return network.attn_mask is None or network.cls_emb is not None or network.pool_type not in ("argmax", "eos")

    def _features_without_padding(self, ids: Tensor) -> Tensor:
        """The tower's own forward for texts shorter than the context, which is all that a causal mask lets it see."""
        network, length = self.network, ids.shape[1]
        tokens = network.token_embedding(ids) + network.positional_embedding[:length]
        tokens = network.ln_final(network.transformer(tokens, attn_mask=network.attn_mask[:length, :length]))
        pooled = text_global_pool(tokens, ids, pool_type=network.pool_type, eos_token_id=network.eos_id)
        if isinstance(network.text_projection, nn.Linear):
            return network.text_projection(pooled)
        return pooled if network.text_projection is None else pooled @ network.text_projection


def load_open_clip_text(name: EncoderName, *, pretrained: bool, revision: str | None) -> LoadedTextTower:
    """An open_clip text tower by `NAME/TAG`; without pretrained weights `NAME` is enough."""
    architecture, _, tag = name.id.partition("/")
    config = model_config(architecture)
    entry = pretrained_entry(architecture, tag, pretrained)
    model_args = model_arguments(config, entry)
    fingerprint = Fingerprint(name=str(name), library="open_clip", id=name.id, pretrained=False)
    try:
        tower = OpenClipTextTower(architecture, model_args)
    except OSError as error:  # some towers are built by transformers, from a configuration on the Hub
        raise WeightsUnavailableError(
            f"{name} needs files of {config['text_cfg'].get('hf_model_name')!r}, which cannot be had here: "
            f"{first_line(error)}"
        ) from error
    if pretrained:
        whole, _, fingerprint = load_open_clip_model(name, revision)
        tower.take_weights(whole)
    return facts_of_text_tower(tower, architecture, model_args, fingerprint)


def facts_of_text_tower(
    tower: OpenClipTextTower, architecture: str, model_args: dict[str, Any], fingerprint: Fingerprint
) -> LoadedTextTower:
    """A tower with what a configuration remembers of it."""
    context_length = getattr(tower.network, "context_length", None) or tower.network.config.max_position_embeddings
    if not isinstance(context_length, int):
        raise EncoderError(f"open_clip does not say how long a text {architecture!r} reads: not supported.")
    return LoadedTextTower(
        tower=tower,
        library="open_clip",
        architecture=architecture,
        model_args=model_args,
        pooling="pooler",
        context_length=context_length,
        fixed_length=tower.reads_padding,
        pad_token_id=open_clip_pad_token_id(architecture) if tower.reads_padding else None,
        fingerprint=fingerprint,
    )
