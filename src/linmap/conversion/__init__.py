"""Checkpoints of the methods' original code, made into models of linmap."""

from linmap.conversion.decap import convert_decap, original_decap

__all__ = ["convert_decap", "original_decap"]
