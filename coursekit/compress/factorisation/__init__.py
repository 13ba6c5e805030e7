"""A layer as a product of thinner ones, and blocks that are thin from the start."""
