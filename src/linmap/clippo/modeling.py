"""CLIPPO (arXiv 2212.08045): one ViT embeds photos and drawn text, learned with a contrastive loss alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from timm.layers import Attention, AttentionPoolLatent, PatchEmbed
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForZeroShotImageClassification
from transformers import initialization as init
from transformers.utils import ModelOutput

from linmap import encoders
from linmap.clippo.configuration import ClippoConfig
from linmap.clippo.pixels import tower_pixels
from linmap.clippo.pretrained import ClippoPreTrainedModel
from linmap.clippo.towers import TokenEmbedding, build_tower, embed_patches, pooled, sizes_of_vit, start_from_vit
from linmap.contrastive.gradient_caching import embedded_in_parts
from linmap.contrastive.losses import softmax_loss
from linmap.errors import ConfigurationError
from linmap.rendering.text import render_text

__all__ = ["ClippoModel", "ClippoOutput"]

SMALLEST_NORM = 1e-8  # added to the norm, as the original does


@dataclass
class ClippoOutput(ModelOutput):
    """What `ClippoModel` returns.

    Args:
        loss: Scalar, nats a pair; None unless `return_loss` was given.
        logits_per_image: (images and first texts, texts), cosines times the logit scale; None together with a loss in
            training mode.
        logits_per_text: The same transposed.
        image_embeds: (images and first texts, projection_dim), L2-normalised, float32.
        text_embeds: (texts, projection_dim), L2-normalised, float32.
    """

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None


class ClippoModel(ClippoPreTrainedModel):
    """A tower, a linear head and a temperature; texts are drawn and read as pictures.

    With `config.text_input="tokens"` texts are tokenised (1T-CLIP), with `text_tower="own"` a second tower reads them
    (CLIP*): the models that the paper compares CLIPPO with, trained alike.

    Args:
        config: Sizes, and what photos and texts share.

    Example:
        >>> config = ClippoConfig(
        ...     image_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
        ... )
        >>> model = ClippoModel(config).eval()
        >>> output = model(pixel_values=torch.zeros(2, 3, 64, 64), text_pixel_values=torch.zeros(3, 3, 64, 64))
        >>> output.logits_per_image.shape, model.get_text_features(["a dog"]).shape
        (torch.Size([2, 3]), torch.Size([1, 768]))
    """

    base_model_prefix = ""

    def __init__(self, config: ClippoConfig) -> None:
        super().__init__(config)
        own_tower = config.text_tower == "own"
        self.tower = build_tower(config)
        self.text_tower = build_tower(config, patches=not config.reads_tokens) if own_tower else None
        self.text_embedding = (
            TokenEmbedding(int(config.vocab_size or 0), config.max_text_tokens, config.hidden_size)
            if config.reads_tokens
            else None
        )
        self.text_patch_embedding = (
            PatchEmbed(config.image_size, config.patch_size, 3, config.hidden_size)
            if config.text_patch_embedding == "own"
            else None
        )
        self.projection = nn.Linear(config.hidden_size, config.projection_dim)
        self.text_projection = (
            nn.Linear(config.hidden_size, config.projection_dim) if own_tower or config.text_head == "own" else None
        )
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))
        self.post_init()

    @torch.no_grad()
    def _start_own_weights(self) -> None:
        for part in self.modules():  # timm keeps as one matrix what starts as three, or two
            if isinstance(part, Attention):
                init.xavier_uniform_(part.qkv.weight, gain=math.sqrt(2))
            elif isinstance(part, AttentionPoolLatent):
                init.xavier_uniform_(part.kv.weight, gain=math.sqrt(1.5))
        init.constant_(self.logit_scale, float(self.config.logit_scale_init_value))
        for head in (self.projection, self.text_projection):
            if head is not None:
                init.trunc_normal_(head.weight, std=head.in_features**-0.5)

    @classmethod
    def from_vit(cls, name: str, *, pretrained: bool = True, **config: Any) -> Self:
        """A model whose tower starts from a ViT of timm: the paper's "+ I21k init". Pooling and head are new.

        Args:
            name: `"timm:NAME[.TAG]"`, for example `"timm:vit_base_patch16_224.augreg_in21k"`.
            pretrained: False takes the ViT's shape alone.
            **config: What `ClippoConfig` takes; the sizes of the tower are the ViT's.

        Returns:
            The model in eval mode.

        Raises:
            BackboneError: There is no such ViT, or its weights cannot be had.
            EncoderError: It is no plain ViT.
        """
        arguments: dict[str, Any] = {} if pretrained else {"pretrained": False, "seed": 0}
        encoder = encoders.load_encoder(name, **arguments)
        vit = getattr(encoder.tower, "network", None)
        model = cls(ClippoConfig(**{**sizes_of_vit(vit), **config}))
        start_from_vit(model.tower, vit)
        if pretrained:
            model.config.initialised_from = encoder.fingerprint.to_dict()
        return model.eval()

    def encode_images(self, pixel_values: Tensor) -> Tensor:
        """Runs the tower over images: the features in front of the head, which a linear probe takes ("pre_logits").

        Args:
            pixel_values: (images, 3, image_size, image_size) from the processor, in [-1, 1].

        Returns:
            (images, hidden_size), not normalised.
        """
        return pooled(self.tower, embed_patches(self.tower, self._checked(pixel_values, "pixel_values")))

    def encode_texts(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Runs the tower that reads texts: the features in front of the head.

        Args:
            pixel_values: Drawn texts, (texts, 3, image_size, image_size) in [-1, 1].
            input_ids: Of a model that reads tokens: (texts, length) int64.
            attention_mask: (texts, length), 0 on padding; None: there is none.

        Returns:
            (texts, hidden_size), not normalised.
        """
        tower = self.tower if self.text_tower is None else self.text_tower
        if self.text_embedding is not None:
            ids = self._checked_ids(input_ids, pixel_values)
            if attention_mask is not None and attention_mask.shape != ids.shape:
                raise ConfigurationError(
                    f"attention_mask must say of each token whether it is one, shape {tuple(ids.shape)}; found "
                    f"{tuple(attention_mask.shape)}."
                )
            return pooled(tower, self.text_embedding(ids), attention_mask)
        if pixel_values is None:
            raise ConfigurationError(
                "This model reads drawn text: give it pixel_values, as processor(text=...) or render_text make them, "
                "and no input_ids."
            )
        drawn = self._checked(pixel_values, "text_pixel_values")
        return pooled(tower, embed_patches(tower, drawn, self.text_patch_embedding))

    def get_image_features(self, pixel_values: Tensor | None = None, image_features: Tensor | None = None) -> Tensor:
        """Embeds images in the shared space.

        Args:
            pixel_values: (images, 3, image_size, image_size) in [-1, 1].
            image_features: Instead of pixels: (images, hidden_size) from `encode_images`.

        Returns:
            (images, projection_dim), L2-normalised, float32.
        """
        if (pixel_values is None) == (image_features is None):
            raise ConfigurationError("Give either pixel_values or image_features, and not both.")
        if image_features is not None:
            return self._projected(image_features, self.projection)
        assert pixel_values is not None
        return self._embedded(lambda pixels: self._projected(self.encode_images(pixels), self.projection), pixel_values)

    def get_text_features(
        self,
        texts: str | Sequence[str] | None = None,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        text_features: Tensor | None = None,
    ) -> Tensor:
        """Embeds texts in the shared space.

        Args:
            texts: Texts as they are, which are then drawn as `config.text_renderer` says.
            pixel_values: Instead: texts drawn before, (texts, 3, image_size, image_size) in [-1, 1].
            input_ids: Of a model that reads tokens: (texts, length) int64.
            attention_mask: (texts, length), 0 on padding.
            text_features: Instead: (texts, hidden_size) from `encode_texts`.

        Returns:
            (texts, projection_dim), L2-normalised, float32.
        """
        given = [texts, pixel_values, input_ids, text_features]
        if sum(one is not None for one in given) != 1:
            raise ConfigurationError("Give exactly one of texts, pixel_values, input_ids and text_features.")
        head = self.projection if self.text_projection is None else self.text_projection
        if text_features is not None:
            return self._projected(text_features, head)
        if texts is not None:
            pixel_values = self._drawn(texts)
        if input_ids is None:
            return self._embedded(lambda pixels: self._projected(self.encode_texts(pixels), head), pixel_values)
        masks = () if attention_mask is None else (attention_mask,)
        return self._embedded(lambda *ids: self._projected(self.encode_texts(None, *ids), head), input_ids, *masks)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        text_pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        first_text_pixel_values: Tensor | None = None,
        first_input_ids: Tensor | None = None,
        first_attention_mask: Tensor | None = None,
        image_ids: Tensor | None = None,
        return_loss: bool | None = None,
        **kwargs: Any,
    ) -> ClippoOutput:
        """Compares images with texts, and texts with texts ("co-training"); one of the two alone is embedded.

        Args:
            pixel_values: (images, 3, image_size, image_size) in [-1, 1].
            text_pixel_values: Drawn texts, (texts, 3, image_size, image_size) likewise.
            input_ids: Of a model that reads tokens: (texts, length) int64.
            attention_mask: (texts, length), 0 on padding.
            first_text_pixel_values: The first texts of text-text pairs, drawn. They stand behind the images: text i
                belongs to row i of both together.
            first_input_ids: The same as tokens.
            first_attention_mask: Their mask.
            image_ids: (images and first texts,) int64, for the loss: rows of the same id, such as captions of one
                photo, are never each other's negatives.
            return_loss: Compute the loss, over the pairs of all processes.
            **kwargs: Taken and not used, as transformers passes `return_dict` and its like.

        Returns:
            See `ClippoOutput`.

        Raises:
            ConfigurationError: Nothing to embed, or a loss is asked for and the two sides are not as many.
        """
        rows = []
        if pixel_values is not None:
            rows.append(self.get_image_features(pixel_values))
        if first_text_pixel_values is not None or first_input_ids is not None:
            rows.append(
                self.get_text_features(
                    pixel_values=first_text_pixel_values,
                    input_ids=first_input_ids,
                    attention_mask=first_attention_mask,
                )
            )
        read = text_pixel_values is not None or input_ids is not None
        if not (rows or read) or (return_loss and not (rows and read)):
            raise ConfigurationError(
                "Give texts and what to compare them with, or one of the two to embed; a loss needs both. Texts come "
                "as text_pixel_values or input_ids, the others as pixel_values, or first texts, or both."
            )
        image_embeds = torch.cat(rows) if rows else None
        text_embeds = None
        if read:
            text_embeds = self.get_text_features(
                pixel_values=text_pixel_values, input_ids=input_ids, attention_mask=attention_mask
            )
        if image_embeds is None or text_embeds is None:
            return ClippoOutput(image_embeds=image_embeds, text_embeds=text_embeds)
        with torch.autocast(image_embeds.device.type, enabled=False):
            scale = self.logit_scale.float().exp()
            loss = self._loss(image_embeds, text_embeds, scale, image_ids) if return_loss else None
            logits = scale * image_embeds @ text_embeds.T if loss is None or not self.training else None
        return ClippoOutput(
            loss=loss,
            logits_per_image=logits,
            logits_per_text=None if logits is None else logits.T,
            image_embeds=image_embeds,
            text_embeds=text_embeds,
        )

    def _loss(self, image_embeds: Tensor, text_embeds: Tensor, scale: Tensor, image_ids: Tensor | None) -> Tensor:
        if len(image_embeds) != len(text_embeds):
            raise ConfigurationError(
                f"A loss needs a text for each image and each first text; found {len(image_embeds)} of these and "
                f"{len(text_embeds)} texts."
            )
        if image_ids is not None and image_ids.shape != (len(image_embeds),):
            raise ConfigurationError(
                f"image_ids must say of each of the {len(image_embeds)} rows which photo it belongs to, shape "
                f"({len(image_embeds)},); found {tuple(image_ids.shape)}."
            )
        return softmax_loss(image_embeds, text_embeds, scale, image_ids)

    def _drawn(self, texts: str | Sequence[str]) -> Tensor:
        if self.config.reads_tokens:
            raise ConfigurationError(
                "This model reads tokens and draws nothing: give it input_ids and attention_mask, as "
                "processor(text=...) makes them."
            )
        drawn = render_text(texts, self.config.image_size, **(self.config.text_renderer or {}))
        return tower_pixels(drawn).to(self.logit_scale.device)

    def _checked(self, pixel_values: Tensor, name: str) -> Tensor:
        side = self.config.image_size
        if pixel_values.ndim != 4 or pixel_values.shape[1:] != (3, side, side):
            raise ConfigurationError(
                f"{name} must have the shape (n, 3, {side}, {side}), as the processor makes them; found "
                f"{tuple(pixel_values.shape)}. For another size convert the model with --image-size."
            )
        return pixel_values.to(self.logit_scale.device, self.projection.weight.dtype)

    def _checked_ids(self, input_ids: Tensor | None, pixel_values: Tensor | None) -> Tensor:
        if input_ids is None or pixel_values is not None:
            raise ConfigurationError(
                "This model reads tokens: give it input_ids, as processor(text=...) makes them, and no drawn text."
            )
        if input_ids.ndim != 2 or input_ids.shape[1] > self.config.max_text_tokens:
            raise ConfigurationError(
                f"input_ids must have the shape (texts, length) with at most {self.config.max_text_tokens} tokens a "
                f"text; found {tuple(input_ids.shape)}. Let the processor cut them."
            )
        return input_ids.to(self.logit_scale.device)

    def _projected(self, features: Tensor, head: nn.Linear) -> Tensor:
        """Head and normalisation; in float32 under autocast, too, where cosines would have three digits."""
        if features.ndim != 2 or features.shape[1] != self.config.hidden_size:
            raise ConfigurationError(
                f"Features must have the shape (n, {self.config.hidden_size}), as encode_images and encode_texts give "
                f"them; found {tuple(features.shape)}."
            )
        with torch.autocast(self.logit_scale.device.type, enabled=False):
            embedded = head(features.to(head.weight.device, head.weight.dtype)).float()
            return embedded / (embedded.norm(dim=-1, keepdim=True) + SMALLEST_NORM)

    def _embedded(self, embed: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
        size = self.config.mini_batch_size if self.training and torch.is_grad_enabled() else None
        return embedded_in_parts(embed, size, *(one for one in inputs if one is not None))


for auto_class in (AutoModel, AutoModelForZeroShotImageClassification):
    auto_class.register(ClippoConfig, ClippoModel, exist_ok=True)
