"""Kernels to grade in: isolated, bounded, and read while they work."""
