"""A small Hub on loopback, which the real `huggingface_hub` client talks to through HF_ENDPOINT."""

from tests.hub_server.client import HubClient, Said
from tests.hub_server.repository import Repository
from tests.hub_server.server import Death, SmallHub

__all__ = ["Death", "HubClient", "Repository", "Said", "SmallHub"]
