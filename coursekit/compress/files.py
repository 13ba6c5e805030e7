"""Whole models on disk: layers, weights and what was done to them, without code that loading would run."""

import re
from pathlib import Path

import torch
from torch import nn

from ..models.recurrent import LastState

_KNOWN: list[type] = [LastState]


def storable(*classes):
    """Let `load` make objects of these classes; as a decorator of a class, too. Returns the first."""
    _KNOWN.extend(cls for cls in classes if cls not in _KNOWN)
    return classes[0]


def save(model: nn.Module, path: str | Path) -> int:
    """Write a model to a file, its layers and its reports with it; return the file's size in bytes.

    Raises TypeError where it is no module, OSError where the file cannot be written.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    torch.save(model, path)
    return Path(path).stat().st_size


def load(path: str | Path) -> nn.Module:
    """Read a model that `save` wrote, onto the CPU.

    Only layers of torch and of this course are made: a file cannot run code of its own (torch.load, weights_only).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or holds a class that is neither torch's nor the course's; `storable` allows others.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no file {str(path)!r}; write one with coursekit.compress.save")
    with torch.serialization.safe_globals([*_torch_layers(), *_KNOWN]):
        try:
            model = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can fail in any way
            raise ValueError(f"{str(path)!r} cannot be read as a model: {_reason(error)}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"{str(path)!r} holds a {type(model).__name__}, wanted a model that compress.save wrote"
        )
    return model


def _torch_layers() -> list[type]:
    """The classes of torch.nn, which keep what they are given and run nothing."""
    return [value for value in vars(nn).values() if isinstance(value, type) and issubclass(value, nn.Module)]


def _reason(error: Exception) -> str:
    """The cause alone: torch's own text goes on with advice to trust the file."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign is None:
        return "it is damaged, or was not written by compress.save"
    return f"it holds {foreign[1]}, which is not a layer of torch or of the course (compress.storable allows a class)"
