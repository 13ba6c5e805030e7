"""Recurrent layers and their gradients."""

from .suite import *  # noqa: F403

FAMILIES = ("recurrence", "recurrence_gradients", "scan")
