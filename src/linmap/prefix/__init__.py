"""LiMBeR (arXiv 2209.15162): a frozen image encoder and a frozen language model joined by one trained linear layer."""

# The Auto classes first: importing them imports the model (linmap.registration), which must not happen in the middle of
# one of the modules that it is made of.
import transformers.models.auto.modeling_auto  # noqa: F401
