"""Makes the Auto classes of transformers know linmap's models, without importing either before it is needed.

Each module registers its own class when it is imported; here it is only arranged that this happens as soon as the Auto
class is imported, in whichever order the two packages come. That may be while a lower module of linmap, which needs
transformers, is itself still being imported; the modules named here therefore use the lower ones as modules
(`encoders.load_encoder`), never by names taken out of them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from wrapt import register_post_import_hook

__all__ = ["register_with_transformers"]

_WAITING = {
    "transformers.models.auto.configuration_auto": (
        "linmap.encoders.configuration",
        "linmap.text_encoders.configuration",
        "linmap.prefix.configuration",
        "linmap.dual.configuration",
        "linmap.decap.configuration",
        "linmap.clippo.configuration",
    ),
    "transformers.models.auto.image_processing_auto": (
        "linmap.encoders.preprocessing",
        "linmap.clippo.image_processing",
    ),
    "transformers.models.auto.modeling_auto": (
        "linmap.prefix.modeling",
        "linmap.dual.modeling",
        "linmap.decap.modeling",
        "linmap.clippo.modeling",
        "linmap.clippo.classification",
        "linmap.clippo.question_answering",
    ),
    "transformers.models.auto.processing_auto": (
        "linmap.prefix.processing",
        "linmap.dual.processing",
        "linmap.decap.processing",
        "linmap.clippo.processing",
        "linmap.clippo.text_drawing",
    ),
}
# what linmap's models need whole, and what imports an Auto class while it is itself being imported
_NEEDED = (
    "linmap.sharing",
    "transformers.feature_extraction_utils",
    "transformers.generation.utils",
    "transformers.image_processing_backends",
    "transformers.image_processing_utils",
    "transformers.modeling_utils",
    "transformers.models.auto.auto_factory",
    "transformers.models.auto.image_processing_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.clip.image_processing_pil_clip",
    "transformers.processing_utils",
    "transformers.tokenization_utils_base",
)


def register_with_transformers() -> None:
    """Registers now where transformers is imported already, and otherwise when it will be."""
    for module in (*_WAITING, *_NEEDED):
        register_post_import_hook(_import_waiting, module)


def _import_waiting(imported: ModuleType) -> None:
    """Imports what waits for Auto classes that are there; while something needed is half imported, it goes on waiting.

    Args:
        imported: The module that has just been executed; it counts as whole.
    """

    def whole(name: str) -> bool:
        spec = getattr(sys.modules[name], "__spec__", None)
        return name == imported.__name__ or not getattr(spec, "_initializing", False)

    if all(whole(name) for name in _NEEDED if name in sys.modules):
        for auto_module, names in _WAITING.items():
            if auto_module in sys.modules and whole(auto_module):
                for name in names:
                    import_module(name)
