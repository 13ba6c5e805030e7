"""Attention, pooling, and their gradients."""

from .suite import *  # noqa: F403

FAMILIES = ("attention", "attention_gradients", "pooling")
