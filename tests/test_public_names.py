"""The public names: complete, lazy, documented."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import linmap

HEAVY = ("torch", "torchvision", "timm", "open_clip", "transformers.modeling_utils", "peft", "datasets", "matplotlib")


def _imported_by(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement], capture_output=True, text=True, check=True
    )
    return {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_import_linmap_imports_nothing_heavy():
    modules = _imported_by("import linmap")
    assert "linmap" in modules
    assert not [module for module in modules for heavy in HEAVY if module == heavy or module.startswith(f"{heavy}.")]


@pytest.mark.parametrize("name", linmap.__all__)
def test_every_public_name_is_there(name):
    assert getattr(linmap, name) is not None
    assert name in dir(linmap)


def test_star_import_gives_exactly_the_public_names():
    namespace: dict[str, object] = {}
    exec("from linmap import *", namespace)
    assert set(linmap.__all__) <= namespace.keys()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="LinearVisionPrefixModle"):
        _ = linmap.LinearVisionPrefixModle


@pytest.mark.parametrize("name", linmap.__all__)
def test_every_public_name_has_a_docstring(name):
    value = getattr(linmap, name)
    if callable(value):
        assert value.__doc__
        assert not value.__doc__.startswith(f"{name}(")  # a dataclass's automatic signature is no documentation


@pytest.mark.parametrize("name", [name for name in linmap.__all__ if not name.startswith("__")])
def test_every_public_name_stands_on_an_api_page(repository, name):
    pages = [page.read_text(encoding="utf-8") for page in sorted((repository / "docs" / "api").glob("*.md"))]
    assert any(re.search(rf"^::: linmap\.(\w+\.)*{name}$", page, flags=re.MULTILINE) for page in pages), (
        f"{name} is public, so it needs a line `::: linmap….{name}` on a page in docs/api"
    )


@pytest.mark.parametrize(
    "first",
    [
        "from linmap.encoders import load_encoder",
        "from linmap.language import load_language_model",
        "from linmap.prefix.processing import LinearVisionPrefixProcessor",
        "from linmap.recipes import train",
        "from linmap import DualEncoderConfig",
        "from linmap.dual.processing import DualEncoderProcessor",
        "from linmap.contrastive.losses import softmax_loss",
        "from linmap import DeCapConfig",
        "from linmap.decap.processing import DeCapProcessor",
        "from linmap.decap.memory import SupportMemory",
        "from linmap import ClippoProcessor",
        "from linmap.dual.named import load_dual_encoder",
        "from linmap.text_encoders import load_text_encoder",
        "from transformers import AutoModelForImageTextToText",
        "from transformers import AutoModelForZeroShotImageClassification",
        "import linmap; from transformers import CLIPModel",
        "import linmap; from transformers import CLIPTokenizer",
        "import linmap; from transformers import AutoTokenizer",
        "import linmap; from transformers import PreTrainedModel",
        "import linmap; from transformers import CLIPImageProcessorPil",
        "import linmap; from transformers import CLIPImageProcessor",
        "import linmap; from transformers import AutoFeatureExtractor",
        "import linmap; from transformers import Trainer",
    ],
)
def test_whatever_is_imported_first_the_auto_classes_know_the_models(first):
    check = (
        f"{first}; import linmap; "
        "from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor; "
        "config = AutoConfig.for_model('linear_vision_prefix', feature_dim=4, num_image_tokens=1); "
        "assert type(config).__name__ == 'LinearVisionPrefixConfig'; "
        "known = AutoModelForImageTextToText._model_mapping[type(config)]; "
        "assert known is linmap.LinearVisionPrefixModel; "
        "from transformers import AutoModelForZeroShotImageClassification; "
        "config = AutoConfig.for_model('dual_encoder', image_feature_dim=4, text_feature_dim=4); "
        "known = AutoModelForZeroShotImageClassification._model_mapping[type(config)]; "
        "assert known is linmap.DualEncoderModel; "
        "assert AutoProcessor.from_pretrained(linmap.default_model()).image_processor"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "loads",
    [
        "from linmap import LinearVisionPrefixProcessor as P; assert P.from_pretrained(folder).image_processor",
        "import linmap; from transformers import AutoProcessor as P; assert P.from_pretrained(folder).image_processor",
        "import linmap; from transformers import AutoImageProcessor as P; P.from_pretrained(folder)",
        "from transformers import AutoImageProcessor as P; import linmap; P.from_pretrained(folder)",
    ],
)
def test_a_processor_loads_without_its_model(loads):
    from linmap import default_model

    check = f"folder = {str(default_model())!r}; {loads}"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
