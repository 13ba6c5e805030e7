"""Photographs that ship inside wheels."""

from types import MappingProxyType

import numpy as np

from .extra import packaged

PHOTOS = MappingProxyType(
    {
        "camera": ("skimage", "data/camera.png"),
        "astronaut": ("skimage", "data/astronaut.png"),
        "coins": ("skimage", "data/coins.png"),
        "moon": ("skimage", "data/moon.png"),
        "page": ("skimage", "data/page.png"),
        "brick": ("skimage", "data/brick.png"),
        "grass": ("skimage", "data/grass.png"),
        "gravel": ("skimage", "data/gravel.png"),
        "chelsea": ("skimage", "data/chelsea.png"),
        "coffee": ("skimage", "data/coffee.png"),
        "china": ("sklearn", "datasets/images/china.jpg"),
        "flower": ("sklearn", "datasets/images/flower.jpg"),
    }
)
"""Each photograph's name, and the package and file that it is in."""
DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
LUMA = np.array([0.2125, 0.7154, 0.0721])
"""Shares of red, green and blue in a grey pixel (ITU-R BT.709), as scikit-image has them."""


def photo(name: str = "camera", *, grey: bool = True) -> np.ndarray:
    """A photograph.

    Parameters
    ----------
    name : str
        One of ``PHOTOS``. "china" and "flower" come with scikit-learn, which the course always has; the others with
        scikit-image.
    grey : bool
        Weigh colours into one channel. Photographs without colours have one in any case.

    Returns
    -------
    ndarray, float32, shape (height, width), or (height, width, 3) for colours
        In [0, 1]; fresh at each call.

    Raises
    ------
    ValueError
        If there is no such name.
    ModuleNotFoundError
        If scikit-image is not installed (the extra ``data``).
    """
    if name not in PHOTOS:
        raise ValueError(f"no photograph {name!r}; wanted one of {', '.join(PHOTOS)}")
    package, path = PHOTOS[name]
    found = packaged(package, path, f"the photograph {name!r}", DISTRIBUTIONS[package])
    from matplotlib.image import imread

    pixels = np.asarray(imread(found))
    if pixels.dtype == np.uint8:  # JPEG; matplotlib gives those of PNG as floats in [0, 1]
        pixels = pixels / 255
    if pixels.ndim == 3 and grey:
        pixels = pixels[..., :3] @ LUMA
    return pixels.astype(np.float32)
