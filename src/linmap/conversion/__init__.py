"""Checkpoints of the methods' original code, made into models of linmap."""

from linmap.conversion.clippo import convert_clippo, original_clippo
from linmap.conversion.decap import convert_decap, original_decap
from linmap.conversion.limber import convert_limber, original_projection

__all__ = [
    "convert_clippo",
    "convert_decap",
    "convert_limber",
    "original_clippo",
    "original_decap",
    "original_projection",
]
