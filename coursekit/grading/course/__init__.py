"""A class over a term: what was collected, graded, kept and published."""
