"""What licences of weights forbid, as far as that is known: a table of facts, and the sentence that a card begins with.

The identifiers are those of the Hub (https://huggingface.co/docs/hub/repositories-licenses) and of SPDX; what stands
here is a reading guide, and no legal advice.
"""

from __future__ import annotations

import re

from linmap.weights.identity import Fingerprint

__all__ = ["forbids_nothing", "notice"]

FREE = re.compile(
    r"apache-2\.0|mit(-0)?|isc|0bsd|bsd(-.+)?|zlib|unlicense|wtfpl|cc0-1\.0|pddl|cc-by(-sa)?-\d\.\d|cdla-permissive-.+"
    r"|(a|l)?gpl(-.+)?|mpl-2\.0|epl-.+|eupl-.+|afl-3\.0|artistic-2\.0|ecl-2\.0|bsl-1\.0|odc-by|ofl-1\.1|openmdw.*|ms-pl"
    r"|postgresql|ncsa|psf-2\.0"
)
"""Licences that forbid no use; some of them ask for a name, or for the same licence, in return."""

FORBIDDING: tuple[tuple[str, str, str], ...] = (
    (
        r"cc-by-nc-nd.*",
        "No commercial use, no altered copies",
        "which forbids commercial use and passing on altered copies",
    ),
    (r"cc-(by-)?nc.*", "No commercial use", "which forbids commercial use"),
    (r"cc-by-nd.*", "No altered copies", "which forbids passing on altered copies"),
    (r".*non-?commercial.*", "No commercial use", "which forbids commercial use"),
    (r"apple-amlr|(.*-)?research(-.*)?", "For research only", "which allows research, and nothing else without asking"),
    (r"(.*-)?(open)?rail.*", "Restricted uses", "which forbids the uses that it lists (RAIL)"),
    (r"(meta-)?llama.*", "Restricted uses", "Meta's community licence, which forbids the uses of its policy"),
    (r"gemma.*", "Restricted uses", "Google's terms, which forbid the uses of their policy"),
    (r"other|custom|proprietary", "Terms of its own", "terms of its own, to be read at its source"),
)
"""A pattern of identifiers, a heading, and what stands behind the name of such a licence."""

UNSTATED = ("", "unknown", "none", "not stated", "unlicensed", "noassertion")


def forbids_nothing(license_name: str | None) -> bool:
    """Whether a licence is known, and forbids no use.

    Example:
        >>> forbids_nothing("Apache-2.0"), forbids_nothing("cc-by-nc-4.0"), forbids_nothing(None)
        (True, False, False)
    """
    return all(FREE.fullmatch(name) for name in _names(license_name))


def notice(role: str, part: Fingerprint) -> str | None:
    """One sentence on what the licence of a part forbids, or that it is not known; None where it forbids nothing.

    Args:
        role: As it stands in the card: "encoder", "language model".
        part: Pretrained; random weights have no licence.

    Example:
        >>> print(notice("encoder", Fingerprint("timm:x", "timm", "x", license="cc-by-nc-4.0")))
        **No commercial use:** the encoder, `timm:x`, is under `cc-by-nc-4.0`, which forbids commercial use.
    """
    if not part.pretrained or forbids_nothing(part.license):
        return None
    names = [name for name in _names(part.license) if not FREE.fullmatch(name)]
    if any(name in UNSTATED for name in names):
        return (
            f"**Licence unknown:** the {role}, `{part.name}`, came without a stated licence, so what may be done with "
            "it is not known."
        )
    for pattern, heading, said in FORBIDDING:
        if any(re.fullmatch(pattern, name) for name in names):
            return f"**{heading}:** the {role}, `{part.name}`, is under `{part.license}`, {said}."
    return f"**Read the licence:** the {role}, `{part.name}`, is under `{part.license}`, of which linmap knows nothing."


def _names(license_name: str | None) -> list[str]:
    """One licence, or those of an SPDX expression `A AND B`, in small letters with hyphens."""
    said = (license_name or "").removeprefix("LicenseRef-")
    return [re.sub(r"[\s_]+", "-", one.strip().lower()) for one in re.split(r"\s+AND\s+", said)]
