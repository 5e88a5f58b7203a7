"""CLIPPO (arXiv 2212.08045): one tower that reads pictures, and texts as pictures of them."""
