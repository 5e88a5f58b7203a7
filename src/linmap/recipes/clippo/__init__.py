"""Recipes of CLIPPO (arXiv 2212.08045) and of the models it is compared with: photos and texts, mixed."""
