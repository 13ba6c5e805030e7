"""Whole models that compute with integers alone, and batch norm folded on the way there."""
