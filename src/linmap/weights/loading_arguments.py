"""What `from_pretrained` is told beside a name, sorted: for the Hub, for a part, not needed, unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from linmap.errors import ConfigurationError

__all__ = ["HUB_ARGUMENTS", "loading_info", "sorted_arguments"]

HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision")
# what they ask for is how a checkpoint is read anyway; the Auto classes and pipelines pass adapter_kwargs along
NEEDLESS_ARGUMENTS = ("use_safetensors", "low_cpu_mem_usage", "weights_only", "adapter_kwargs")


def sorted_arguments(
    kwargs: dict[str, Any], named: str, *, of_part: Sequence[str] = (), needless: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments for the Hub, and those for a part of the model.

    Args:
        kwargs: As they were given. Private names and empty values are passed over: the Auto classes and pipelines pass
            them along.
        named: The arguments that the method names itself, for the message.
        of_part: What is passed on to a part.
        needless: What means nothing to this model, beside what means nothing to any.

    Raises:
        ConfigurationError: Something else was given.
    """
    hub = {name: value for name, value in kwargs.items() if name in HUB_ARGUMENTS}
    part = {name: value for name, value in kwargs.items() if name in of_part}
    known = {*HUB_ARGUMENTS, *of_part, *NEEDLESS_ARGUMENTS, *needless}
    unknown = sorted(name for name, value in kwargs.items() if value and name not in known and name[:1] != "_")
    if unknown:
        raise ConfigurationError(
            f"from_pretrained does not know {', '.join(unknown)}. It takes "
            f"{', '.join((*HUB_ARGUMENTS, *of_part))}, {named}."
        )
    return hub, part


def loading_info(unexpected: set[str]) -> dict[str, Any]:
    """What `output_loading_info` asks for: nothing is ever missing or mismatched, as either is an error."""
    return {"missing_keys": set(), "unexpected_keys": unexpected, "mismatched_keys": set(), "error_msgs": []}
