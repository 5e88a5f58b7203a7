"""LiMBeR (arXiv 2209.15162): a frozen image encoder and a frozen language model joined by one trained linear layer."""
