from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_language_model_shared_out_among_processes_gives_the_loss_gradient_and_checkpoint_of_a_whole_one(
    tiny_lm_dir, tmp_path
):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    script = Path(__file__).with_name("sharded_model.py")
    done = subprocess.run(
        [*command, str(script), str(tiny_lm_dir("gptj")), str(tmp_path / "saved")],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the same loss, gradient and checkpoint" in done.stdout
