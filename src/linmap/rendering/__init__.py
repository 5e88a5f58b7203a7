"""Texts as pictures: GNU Unifont's glyphs, drawn in NumPy alone, as CLIPPO's tower reads them (arXiv 2212.08045)."""

from linmap.rendering.glyphs import Glyphs, unifont
from linmap.rendering.text import Overflow, TextSettings, render_text

__all__ = ["Glyphs", "Overflow", "TextSettings", "render_text", "unifont"]
