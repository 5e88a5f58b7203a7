"""CLIP (arXiv 2103.00020): an image tower and a text tower, each with a linear head into one shared space."""

# The Auto classes first: importing them imports the model (linmap.registration), which must not happen in the middle of
# one of the modules that it is made of.
import transformers.models.auto.modeling_auto  # noqa: F401
