"""What every model that compares photos with texts stands on: the losses over a global batch, gradient caching."""
