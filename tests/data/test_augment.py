import numpy as np
import pytest

from coursekit.data import augment, warp

IMAGES = np.random.default_rng(0).random((200, 2, 12, 10), dtype=np.float32) + np.float32(0.1)
STEPS = {
    "rotate": augment.rotate,
    "shift": augment.shift,
    "flip": augment.flip,
    "crop": lambda images, rng: augment.crop(images, rng, 7),
    "cutout": augment.cutout,
}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", STEPS)
def test_a_seed_decides_and_the_batch_is_left_alone(name):
    before = IMAGES.copy()
    first, again, other = (STEPS[name](IMAGES, rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.float32 and np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(IMAGES, before) and not np.shares_memory(first, IMAGES)


@pytest.mark.parametrize("name", STEPS)
def test_empty_batches_and_wrong_ones(name):
    assert STEPS[name](IMAGES[:0], rng()).shape[0] == 0
    with pytest.raises(TypeError, match="got float64"):
        STEPS[name](IMAGES.astype(float), rng())
    with pytest.raises(ValueError, match="shape"):
        STEPS[name](IMAGES[0], rng())


def test_rotate_turns_each_by_its_own_angle():
    angles = rng(5).uniform(-15, 15, 200)
    assert np.array_equal(augment.rotate(IMAGES, rng(5)), warp.rotate(IMAGES, angles))
    assert np.abs(angles).max() > 14 and angles.min() < 0 < angles.max()


def test_shift_takes_every_step_and_no_other():
    ones = np.ones((500, 1, 9, 9), np.float32)
    moved = augment.shift(ones, rng(), most=2)
    found = {(int(m[0].any(0).sum()), int(m[0].any(1).sum())) for m in moved}
    assert found == {(a, b) for a in (7, 8, 9) for b in (7, 8, 9)}
    left = {int(np.argmax(m[0].any(0))) for m in moved}
    assert left == {0, 1, 2} and np.isin(moved, [0, 1]).all()


def test_flip_mirrors_about_half():
    flipped = augment.flip(IMAGES, rng())
    is_same = [np.array_equal(a, b) for a, b in zip(flipped, IMAGES, strict=True)]
    is_mirrored = [np.array_equal(a, b[..., ::-1]) for a, b in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(is_same, is_mirrored, strict=True)) and 70 < sum(is_mirrored) < 130
    assert np.array_equal(augment.flip(IMAGES, rng(), 0), IMAGES)
    assert np.array_equal(augment.flip(IMAGES, rng(), 1), IMAGES[..., ::-1])


def test_crops_are_parts_at_every_place():
    where = np.arange(120.0, dtype=np.float32).reshape(1, 1, 12, 10).repeat(500, 0)
    crops = augment.crop(where, rng(), 8)
    corners = {(int(c[0, 0, 0]) // 10, int(c[0, 0, 0]) % 10) for c in crops}
    assert corners == {(r, c) for r in range(5) for c in range(3)}
    for crop in crops[:20]:
        r, c = int(crop[0, 0, 0]) // 10, int(crop[0, 0, 0]) % 10
        assert np.array_equal(crop[0], where[0, 0, r : r + 8, c : c + 8])
    for size in (0, 11):
        with pytest.raises(ValueError, match="from 1 to 10"):
            augment.crop(where, rng(), size)


def test_cutout_hides_one_rectangle_in_all_channels():
    cut = augment.cutout(IMAGES, rng(), 4)
    hidden = cut == 0
    assert np.array_equal(hidden[:, 0], hidden[:, 1]) and np.array_equal(cut[~hidden], IMAGES[~hidden])
    rows, columns = hidden[:, 0].any(2), hidden[:, 0].any(1)
    assert np.array_equal(hidden[:, 0], rows[:, :, None] & columns[:, None, :])
    assert rows.sum(1).max() == columns.sum(1).max() == 4 and rows.sum(1).min() == 2 and rows[:, 0].any()
    with pytest.raises(ValueError, match="at least 1"):
        augment.cutout(IMAGES, rng(), 0)


def test_chain_does_one_after_the_other():
    both = augment.chain(augment.flip, augment.shift)
    seed, step = rng(3), rng(3)
    assert np.array_equal(both(IMAGES, seed), augment.shift(augment.flip(IMAGES, step), step))
    assert augment.chain()(IMAGES, rng()) is IMAGES
