"""Recipes of DeCap (arXiv 2303.03032): a decoder of text latents, learned from text alone, and its support memory."""
