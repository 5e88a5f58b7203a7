"""Uploading through the real Hub client, to a real server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.prefix.hub_server import SmallHub

PUSH = """
import sys
from linmap import LinearVisionPrefixModel
model = LinearVisionPrefixModel.from_pretrained(sys.argv[1])
print(model.push_to_hub("org/name", token="hf_test"))
"""


def test_the_card_of_save_pretrained_is_the_one_that_is_uploaded(photo_model: Any, tmp_path: Path) -> None:
    """Trap T11: transformers' own push_to_hub writes a generic card over it."""
    model, _ = photo_model("gpt2")
    model.save_pretrained(tmp_path)
    with SmallHub() as hub:
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "h"),
        }
        run = subprocess.run(
            [sys.executable, "-c", PUSH, str(tmp_path)],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    uploaded = hub.files["org/name"]
    assert set(uploaded) >= {"README.md", "config.json", "model.safetensors"}
    assert uploaded["README.md"] == (tmp_path / "README.md").read_bytes()
    assert b"library_name: linmap" in uploaded["README.md"]
    assert json.loads(uploaded["config.json"])["model_type"] == "linear_vision_prefix"
    assert "org/name" in run.stdout
