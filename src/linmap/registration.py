"""Makes the Auto classes of transformers know linmap's models, without importing either before it is needed."""

from __future__ import annotations

from types import ModuleType

from wrapt import register_post_import_hook

__all__ = ["register_with_transformers"]


def register_with_transformers() -> None:
    """Registers now with what is imported already, and with the rest when it is."""
    register_post_import_hook(_register_configs, "transformers.models.auto.configuration_auto")
    register_post_import_hook(_register_models, "transformers.models.auto.modeling_auto")
    register_post_import_hook(_register_processors, "transformers.models.auto.processing_auto")


def _register_configs(module: ModuleType) -> None:
    from linmap.encoders import ImageEncoderConfig
    from linmap.prefix.configuration import LinearVisionPrefixConfig

    for config in (ImageEncoderConfig, LinearVisionPrefixConfig):
        module.AutoConfig.register(config.model_type, config)


def _register_models(module: ModuleType) -> None:
    from linmap.encoders import ImageEncoder
    from linmap.prefix.configuration import LinearVisionPrefixConfig
    from linmap.prefix.modeling import LinearVisionPrefixModel

    module.AutoModel.register(ImageEncoder.config_class, ImageEncoder)
    module.AutoModelForImageTextToText.register(LinearVisionPrefixConfig, LinearVisionPrefixModel)
    module.AutoModelForMultimodalLM.register(LinearVisionPrefixConfig, LinearVisionPrefixModel)


def _register_processors(module: ModuleType) -> None:
    from linmap.prefix.configuration import LinearVisionPrefixConfig
    from linmap.prefix.processing import LinearVisionPrefixProcessor

    module.AutoProcessor.register(LinearVisionPrefixConfig, LinearVisionPrefixProcessor)
