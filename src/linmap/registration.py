"""Makes the Auto classes of transformers know linmap's models, without importing either before it is needed.

Each module registers its own class when it is imported; here it is only arranged that this happens as soon as the Auto
class is imported, in whichever order the two packages come. That may be while a lower module of linmap, which needs
transformers, is itself still being imported; the modules named here therefore use the lower ones as modules
(`encoders.load_encoder`), never by names taken out of them.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from wrapt import register_post_import_hook

__all__ = ["register_with_transformers"]

_WAITING = {
    "transformers.models.auto.configuration_auto": ("linmap.encoders.configuration", "linmap.prefix.configuration"),
    "transformers.models.auto.modeling_auto": ("linmap.prefix.modeling",),
    "transformers.models.auto.processing_auto": ("linmap.prefix.processing",),
}


def register_with_transformers() -> None:
    """Registers now where transformers is imported already, and otherwise when it will be."""
    for auto_module in _WAITING:
        register_post_import_hook(_import_waiting, auto_module)


def _import_waiting(auto_module: ModuleType) -> None:
    for name in _WAITING[auto_module.__name__]:
        import_module(name)
