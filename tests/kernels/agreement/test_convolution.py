"""The convolutions and their gradients."""

from .suite import *  # noqa: F403

FAMILIES = ("convolution",)
