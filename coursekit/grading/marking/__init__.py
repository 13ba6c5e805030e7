"""From the answers of one notebook to its marks."""
