"""The configurations of large runs are read by those that they are written for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

FOLDER = Path(__file__).parents[2] / "examples" / "configurations"
LAUNCHED = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.stem)
def test_accelerate_reads_a_configuration_and_finds_nothing_unknown(file):
    found = load_config_from_file(str(file))
    assert isinstance(found, ClusterConfig)
    assert found.num_processes == 8
    told = {key for key in yaml.safe_load(file.read_text(encoding="utf-8")) if not key.endswith("_config")}
    assert told <= found.to_dict().keys()
    kinds = {"multi-gpu": DistributedType.MULTI_GPU, "fsdp": DistributedType.FSDP}
    assert found.distributed_type == kinds.get(file.stem, DistributedType.DEEPSPEED)


def test_every_word_about_sharding_is_one_of_accelerate_s_launcher():
    said = yaml.safe_load((FOLDER / "fsdp.yaml").read_text(encoding="utf-8"))["fsdp_config"]
    options = {option.dest for option in launch_command_parser()._actions}
    assert said.keys() <= options


def test_the_sharding_is_the_one_that_its_comments_say(monkeypatch, tiny_lm):
    said = yaml.safe_load((FOLDER / "fsdp.yaml").read_text(encoding="utf-8"))["fsdp_config"]
    for key, value in said.items():  # what the launcher does with them
        monkeypatch.setenv(key.upper(), str(value).lower() if isinstance(value, bool) else str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert not plugin.activation_checkpointing
    model = tiny_lm("gptj")
    plugin.set_auto_wrap_policy(model)
    assert set(model._no_split_modules) == {"GPTJBlock"} == {said["fsdp_transformer_layer_cls_to_wrap"]}


@pytest.mark.parametrize("stage", [2, 3])
def test_what_deepspeed_is_told_is_whole_and_of_its_stage(stage):
    told = json.loads((FOLDER / f"deepspeed-zero-{stage}.json").read_text(encoding="utf-8"))
    assert told["zero_optimization"]["stage"] == stage
    assert {key for key, value in told.items() if value == "auto"} == {
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "gradient_clipping",
    }  # which the Trainer fills in
    schema = pytest.importorskip("deepspeed.runtime.zero.config", reason="pip install deepspeed to check its words")
    assert schema.DeepSpeedZeroConfig(**told["zero_optimization"]).stage == stage


def test_the_launcher_s_file_names_the_one_for_deepspeed(repository):
    launched = load_config_from_file(str(FOLDER / "deepspeed-zero-3.yaml"))
    assert (repository / launched.deepspeed_config["deepspeed_config_file"]).is_file()


@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.stem)
def test_a_configuration_begins_with_what_it_fits_and_a_command_that_is_there(file, repository):
    text = file.read_text(encoding="utf-8")
    head = text[: text.index("compute_environment")]
    commands = re.findall(r"accelerate launch --config_file (\S+) (?:-m linmap train|(\S+\.py))", head)
    assert commands
    for configuration, script in commands:
        assert repository / configuration == file
        assert not script or (repository / script).is_file()
