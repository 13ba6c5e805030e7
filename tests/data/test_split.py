import numpy as np
import pytest

from coursekit.data import Split, stratified_split


def numbered(n_per_class=10, classes=3):
    """Images whose single pixel is their number, so that each can be recognised."""
    n = n_per_class * classes
    return np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1), np.repeat(np.arange(classes), n_per_class)


def test_every_image_is_in_exactly_one_part_with_its_label():
    x, y = numbered()
    split = stratified_split(x, y, 0.3)
    images = np.concatenate([split.x_train, split.x_test]).ravel()
    labels = np.concatenate([split.y_train, split.y_test])
    assert sorted(images) == list(range(30))
    assert np.array_equal(labels, y[images.astype(int)])


def test_each_class_is_divided_alike():
    split = stratified_split(*numbered(), 0.3)
    assert np.bincount(split.y_test).tolist() == [3, 3, 3]
    assert np.bincount(split.y_train).tolist() == [7, 7, 7]


def test_classes_are_mixed_in_both_parts():
    split = stratified_split(*numbered(200), 0.5)
    for y in (split.y_train, split.y_test):
        assert all(10 <= count <= 30 for count in np.bincount(y[:60], minlength=3))


def test_seed_chooses_the_split():
    x, y = numbered()
    assert stratified_split(x, y, seed=1).checksum() == stratified_split(x, y, seed=1).checksum()
    assert stratified_split(x, y, seed=1).checksum() != stratified_split(x, y, seed=2).checksum()


def test_global_numpy_generator_is_untouched():
    np.random.seed(3)  # noqa: NPY002
    wanted = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    stratified_split(*numbered())
    assert np.random.rand() == wanted  # noqa: NPY002


def test_holdout_divides_the_training_part_only():
    split = stratified_split(*numbered(), 0.3)
    inner = split.holdout(1 / 7)
    images = np.concatenate([inner.x_train, inner.x_test]).ravel()
    assert sorted(images) == sorted(split.x_train.ravel())
    assert np.bincount(inner.y_test).tolist() == [1, 1, 1]
    inner.x_train[:] = -1
    assert split.x_train.min() >= 0


def test_classes_and_summary():
    split = stratified_split(*numbered())
    assert split.classes == (0, 1, 2)
    assert split.summary() == "21 training and 9 test images of 1×1×1 in 3 classes"
    assert split.summary() in repr(split)


def test_checksum_sees_values_and_shapes():
    x, y = numbered()
    split = Split(x, y, x, y)
    changed = x.copy()
    changed[-1] += 1
    assert split.checksum() == Split(x.copy(), y.copy(), x, y).checksum()
    assert split.checksum() != Split(x, y, changed, y).checksum()
    tall, wide = x[:4].reshape(2, 1, 2, 1), x[:4].reshape(2, 1, 1, 2)
    assert Split(tall, y[:2], tall, y[:2]).checksum() != Split(wide, y[:2], wide, y[:2]).checksum()


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="test_share"):
        stratified_split(*numbered(), share)


def test_wrong_arrays_are_refused():
    x, y = numbered()
    with pytest.raises(TypeError, match=r"x_train.*float32.*float64"):
        Split(x.astype(np.float64), y, x, y)
    with pytest.raises(TypeError, match=r"y_test.*int64.*list"):
        Split(x, y, x, y.tolist())
    with pytest.raises(ValueError, match=r"x_train.*4 dimensions"):
        Split(x[:, 0], y, x, y)
    with pytest.raises(ValueError, match="30 images but y_test has 29 labels"):
        Split(x, y, x, y[1:])
    with pytest.raises(ValueError, match="30 images but y has 29 labels"):
        stratified_split(x, y[1:])
    with pytest.raises(ValueError, match="x_test"):
        Split(x, y, x.reshape(15, 1, 2, 1), y[:15])
