"""Channels and neurons taken out of a model, with all that is tied to them."""
