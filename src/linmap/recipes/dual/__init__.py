"""Recipes of dual encoders (CLIP, arXiv 2103.00020): two towers or two linear maps, learned from captioned photos."""
