"""Dual encoder (CLIP, arXiv 2103.00020): two towers, a linear head on each, one shared space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForZeroShotImageClassification
from transformers import initialization as init
from transformers.utils import ModelOutput

from linmap import encoders, text_encoders
from linmap.contrastive.gradient_caching import embedded_in_parts
from linmap.contrastive.losses import sigmoid_loss, softmax_loss
from linmap.dual.checkpoints import DualCheckpoints
from linmap.dual.configuration import DualEncoderConfig
from linmap.dual.fingerprints import text_fingerprint
from linmap.errors import ConfigurationError
from linmap.weights import Fingerprint

__all__ = ["DualEncoderModel", "DualEncoderOutput"]

LARGEST_LOG_SCALE = math.log(100)  # section 2.5


@dataclass
class DualEncoderOutput(ModelOutput):
    """What `DualEncoderModel` returns.

    Args:
        loss: Scalar, nats; None unless `return_loss` was given.
        logits_per_image: (images, texts), cosines times the logit scale, plus the bias where there is one; None
            together with a loss in training mode, where they would be the largest tensor of all.
        logits_per_text: (texts, images), the same transposed.
        image_embeds: (images, projection_dim), L2-normalised, float32.
        text_embeds: (texts, projection_dim), L2-normalised, float32.
    """

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None


class DualEncoderModel(DualCheckpoints):
    """An image tower and a text tower, each with a linear head without bias into one shared space.

    The heads and the temperature learn, and those towers that `config.trained_towers` names; the others are frozen.

    Args:
        config: The shared space, and the configurations of the towers.
        image_encoder: The image tower; built with random weights from the configuration if left out, as transformers
            does. `from_backbones`, `from_open_clip`, `from_transformers` and `from_pretrained` give pretrained ones.
        text_encoder: The text tower; likewise.

    Example:
        >>> model = DualEncoderModel(DualEncoderConfig(image_feature_dim=6, text_feature_dim=4, projection_dim=8))
        >>> output = model(image_features=torch.randn(2, 6), text_features=torch.randn(3, 4))
        >>> output.logits_per_image.shape, output.image_embeds.norm(dim=-1).round(decimals=4).tolist()
        (torch.Size([2, 3]), [1.0, 1.0])
    """

    base_model_prefix = ""
    main_input_name = "pixel_values"
    input_modalities = ["image", "text"]  # noqa: RUF012
    model_tags = ["linmap"]  # noqa: RUF012
    accepts_loss_kwargs = False  # the loss is a mean over the pairs of a batch, however they come accumulated
    supports_gradient_checkpointing = False  # `mini_batch_size` saves the same memory
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(
        self,
        config: DualEncoderConfig,
        image_encoder: encoders.ImageEncoder | None = None,
        text_encoder: text_encoders.TextEncoder | None = None,
    ) -> None:
        if config.image_feature_dim is None or config.text_feature_dim is None:
            raise ConfigurationError(
                f"image_feature_dim={config.image_feature_dim} and text_feature_dim={config.text_feature_dim}: both "
                "must be known. Give the encoders, or both numbers."
            )
        super().__init__(config)
        if image_encoder is None and config.vision_config is not None:
            image_encoder = encoders.ImageEncoder(config.vision_config)
        if text_encoder is None and config.text_config is not None:
            text_encoder = text_encoders.TextEncoder(config.text_config)
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.image_projection = (
            nn.Linear(config.image_feature_dim, config.projection_dim, bias=False) if config.image_projection else None
        )
        self.text_projection = (
            nn.Linear(config.text_feature_dim, config.projection_dim, bias=False) if config.text_projection else None
        )
        self.image_dropout = nn.Dropout(config.image_dropout)
        self.text_dropout = nn.Dropout(config.text_dropout)
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))
        bias = config.logit_bias_init_value
        self.logit_bias = None if bias is None else nn.Parameter(torch.tensor(float(bias)))
        for name, tower in (("image", image_encoder), ("text", text_encoder)):
            if tower is not None:
                tower.freeze()
                tower.requires_grad_(name in (config.trained_towers or []))
        self.post_init()
        self._keys_to_ignore_on_save = {key for key in self.state_dict() if not self._is_learned(key)}

    def _is_learned(self, key: str) -> bool:
        part, _, _ = key.partition(".")
        tower = {"image_encoder": "image", "text_encoder": "text"}.get(part)
        return tower is None or tower in (self.config.trained_towers or [])

    def encode_images(self, pixel_values: Tensor) -> Tensor:
        """Runs the image tower: the features in front of the head, which are what is worth caching.

        They are also what a linear probe takes (section 3.2: "before the projection").

        Args:
            pixel_values: (images, 3, height, width) from the processor.

        Returns:
            (images, image_feature_dim), not normalised.
        """
        if self.image_encoder is None:
            raise ConfigurationError(
                "This model holds no image encoder, so it cannot take pixel_values. Give image_features of shape "
                f"(images, {self.config.image_feature_dim}), or build the model with an encoder."
            )
        # on a CPU, convolutions take a third less time with the channels last
        order = torch.channels_last if pixel_values.ndim == 4 else torch.preserve_format
        pixel_values = pixel_values.to(self.image_encoder.device, self.image_encoder.dtype, memory_format=order)
        features = self.image_encoder.pooled_features(pixel_values).squeeze(1)
        if not self.config.mirror:
            return features
        return (features + self.image_encoder.pooled_features(pixel_values.flip(-1)).squeeze(1)) / 2

    def encode_texts(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Runs the text tower: the features in front of the head.

        Args:
            input_ids: (texts, length) int64 from the processor.
            attention_mask: (texts, length), 0 on padding; None takes the ids as they stand (see `TextEncoder`).

        Returns:
            (texts, text_feature_dim), not normalised.
        """
        if self.text_encoder is None:
            raise ConfigurationError(
                "This model holds no text encoder, so it cannot take input_ids. Give text_features of shape "
                f"(texts, {self.config.text_feature_dim}), or build the model with an encoder."
            )
        device = self.text_encoder.device
        return self.text_encoder(input_ids.to(device), None if attention_mask is None else attention_mask.to(device))

    def get_image_features(self, pixel_values: Tensor | None = None, image_features: Tensor | None = None) -> Tensor:
        """Embeds images in the shared space.

        Args:
            pixel_values: (images, 3, height, width).
            image_features: Instead of pixels: (images, image_feature_dim) from `encode_images`.

        Returns:
            (images, projection_dim), L2-normalised, float32.
        """
        if pixel_values is not None and image_features is None:
            return self._embedded(self.encode_images, self._project_images, "image", pixel_values)
        if image_features is not None and pixel_values is None:
            return self._project_images(image_features)
        raise ConfigurationError("Give either pixel_values or image_features, and not both.")

    def get_text_features(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        text_features: Tensor | None = None,
    ) -> Tensor:
        """Embeds texts in the shared space.

        Args:
            input_ids: (texts, length) int64.
            attention_mask: (texts, length), 0 on padding; None takes the ids as they stand (see `TextEncoder`).
            text_features: Instead of ids: (texts, text_feature_dim) from `encode_texts`.

        Returns:
            (texts, projection_dim), L2-normalised, float32.
        """
        if input_ids is not None and text_features is None:
            masks = () if attention_mask is None else (attention_mask,)
            return self._embedded(self.encode_texts, self._project_texts, "text", input_ids, *masks)
        if text_features is not None and input_ids is None:
            return self._project_texts(text_features)
        raise ConfigurationError("Give either input_ids or text_features, and not both.")

    def text_fingerprint(self) -> Fingerprint:
        """The identity of the text side: models whose digests agree give the same text the same embedding.

        It covers the text tower, its pooling and context, and the text head; the image side does not count.
        """
        return text_fingerprint(self)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_features: Tensor | None = None,
        text_features: Tensor | None = None,
        image_ids: Tensor | None = None,
        return_loss: bool | None = None,
        **kwargs: Any,
    ) -> DualEncoderOutput:
        """Compares images and texts; either alone is embedded, as pipelines of transformers ask it.

        Args:
            input_ids: (texts, length) int64.
            pixel_values: (images, 3, height, width).
            attention_mask: (texts, length), 0 on padding.
            image_features: Instead of pixels: (images, image_feature_dim).
            text_features: Instead of ids: (texts, text_feature_dim).
            image_ids: (images,) int64, for the loss: pairs of the same id show the same photo, and are never each
                other's negatives.
            return_loss: Compute the loss; image i then belongs to text i.
            **kwargs: Taken and not used, as transformers passes `return_dict` and its like.

        Returns:
            See `DualEncoderOutput`.

        Raises:
            ConfigurationError: There is nothing to embed, or a loss is asked for, and images and texts are not as many.
        """
        seen = pixel_values is not None or image_features is not None
        read = input_ids is not None or text_features is not None
        if not (seen or read) or (return_loss and not (seen and read)):
            raise ConfigurationError(
                "Give images and texts to compare, or one of them to embed; a loss needs both. Images come as "
                "pixel_values or image_features, texts as input_ids or text_features."
            )
        image_embeds = self.get_image_features(pixel_values, image_features) if seen else None
        text_embeds = self.get_text_features(input_ids, attention_mask, text_features) if read else None
        if image_embeds is None or text_embeds is None:
            return DualEncoderOutput(image_embeds=image_embeds, text_embeds=text_embeds)
        with torch.autocast(image_embeds.device.type, enabled=False):
            scale = self._scale()
            loss = self._loss(image_embeds, text_embeds, scale, image_ids) if return_loss else None
            logits = None
            if loss is None or not self.training:
                logits = scale * image_embeds @ text_embeds.T
                logits = logits if self.logit_bias is None else logits + self.logit_bias.float()
        return DualEncoderOutput(
            loss=loss,
            logits_per_image=logits,
            logits_per_text=None if logits is None else logits.T,
            image_embeds=image_embeds,
            text_embeds=text_embeds,
        )

    def _loss(self, image_embeds: Tensor, text_embeds: Tensor, scale: Tensor, image_ids: Tensor | None) -> Tensor:
        if len(image_embeds) != len(text_embeds):
            raise ConfigurationError(
                f"A loss needs a text for each image; found {len(image_embeds)} images and {len(text_embeds)} texts."
            )
        if image_ids is not None and image_ids.shape != (len(image_embeds),):
            raise ConfigurationError(
                f"image_ids must say of each of the {len(image_embeds)} images which photo it shows, shape "
                f"({len(image_embeds)},); found {tuple(image_ids.shape)}."
            )
        if self.config.loss == "sigmoid":
            assert self.logit_bias is not None  # the configuration sees to it
            return sigmoid_loss(image_embeds, text_embeds, scale, self.logit_bias.float(), image_ids)
        return softmax_loss(image_embeds, text_embeds, scale, image_ids)

    def _project_images(self, features: Tensor) -> Tensor:
        self._require_width(features, "image")
        return self._projected(features, self.image_dropout, self.image_projection)

    def _project_texts(self, features: Tensor) -> Tensor:
        self._require_width(features, "text")
        return self._projected(features, self.text_dropout, self.text_projection)

    def _require_width(self, features: Tensor, tower: str) -> None:
        width = getattr(self.config, f"{tower}_feature_dim")
        if features.ndim != 2 or features.shape[1] != width:
            raise ConfigurationError(
                f"{tower}_features must have the shape ({tower}s, {width}), as encode_{tower}s gives them; found "
                f"{tuple(features.shape)}."
            )

    def _projected(self, features: Tensor, dropout: nn.Dropout, projection: nn.Linear | None) -> Tensor:
        """Head and normalisation; in float32 under autocast, too, where cosines would have three digits."""
        device = self.logit_scale.device
        with torch.autocast(device.type, enabled=False):
            features = dropout(features.to(device, self.logit_scale.dtype))
            return F.normalize((features if projection is None else projection(features)).float(), dim=-1)

    def _scale(self) -> Tensor:
        """The factor on the cosines, at most 100 for CLIP's loss; a weight beyond that is moved back while training."""
        if self.config.loss != "softmax":
            return self.logit_scale.float().exp()  # SigLIP's has no limit
        if self.training and torch.is_grad_enabled():
            self.logit_scale.data.clamp_(max=LARGEST_LOG_SCALE)
            return self.logit_scale.float().exp()  # a clamp in the graph could stop the gradient at the limit for good
        return self.logit_scale.float().clamp(max=LARGEST_LOG_SCALE).exp()

    def _embedded(
        self, encode: Callable[..., Tensor], project: Callable[[Tensor], Tensor], tower: str, *inputs: Tensor
    ) -> Tensor:
        """Tower and head; of a tower that learns from large batches only a part at a time is kept for the gradient.

        Each part is run without keeping anything, and run again when its gradient is due (gradient caching): what
        stays is the embeddings, so the loss is still one over the whole batch.
        """
        learns = self.training and torch.is_grad_enabled() and tower in (self.config.trained_towers or [])
        size = self.config.mini_batch_size if learns else None
        if size is not None and size < len(inputs[0]):
            self._refuse_batch_norm(tower)
        return embedded_in_parts(
            lambda *part: project(encode(*part)), size, *inputs, device=self.logit_scale.device if learns else None
        )

    def _refuse_batch_norm(self, tower: str) -> None:
        encoder = self.image_encoder if tower == "image" else self.text_encoder
        assert encoder is not None  # it has just been asked to learn
        for name, module in encoder.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
                raise ConfigurationError(
                    f"mini_batch_size={self.config.mini_batch_size}: the {tower} tower has batch normalisation "
                    f"({name}), whose statistics would be those of a mini batch. Leave mini_batch_size out, freeze the "
                    "tower, or take one with layer normalisation."
                )

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """CLIP's own start of the heads (its code); the towers start themselves."""
        if module in (self.image_projection, self.text_projection):
            init.normal_(module.weight, std=module.in_features**-0.5)


AutoModel.register(DualEncoderConfig, DualEncoderModel, exist_ok=True)
AutoModelForZeroShotImageClassification.register(DualEncoderConfig, DualEncoderModel, exist_ok=True)
