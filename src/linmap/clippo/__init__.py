"""CLIPPO (arXiv 2212.08045): one tower that reads pictures, and texts as pictures of them."""

# The Auto classes first: importing them imports the model (linmap.registration), which must not happen in the middle of
# one of the modules that it is made of.
import transformers.models.auto.modeling_auto  # noqa: F401
