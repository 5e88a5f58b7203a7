"""Models on the Hub: what is uploaded, under which card, and how those find it who never imported linmap."""

from __future__ import annotations

from linmap.sharing.pushing import push_folder
from linmap.sharing.shared import SharedConfig, SharedModel, SharedOnHub, SharedProcessor, taken_for_hub

__all__ = ["SharedConfig", "SharedModel", "SharedOnHub", "SharedProcessor", "push_folder", "taken_for_hub"]
