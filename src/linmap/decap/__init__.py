"""DeCap (arXiv 2303.03032): captions decoded from text latents, learned without a photo, over a support memory."""

# The Auto classes first: importing them imports the model (linmap.registration), which must not happen in the middle of
# one of the modules that it is made of.
import transformers.models.auto.modeling_auto  # noqa: F401
