"""The few models that the course makes smaller and faster, and how they are trained and tested."""

from .store import trained
from .training import History, accuracy, predict, train
from .zoo import MODELS, RECIPES, cnn, lenet300, mlp

__all__ = [
    "MODELS",
    "RECIPES",
    "History",
    "accuracy",
    "cnn",
    "lenet300",
    "mlp",
    "predict",
    "train",
    "trained",
]
