"""Fewer bits for a weight: ranges, grids, packed layers, and training with the rounding in place."""
