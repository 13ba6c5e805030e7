"""The few models that the course makes smaller and faster, and how they are trained and tested."""

from .recurrent import row_lstm, word_lstm
from .store import trained
from .training import History, accuracy, fit, predict, train
from .zoo import MODELS, RECIPES, SOURCES, cnn, lenet300, mlp

__all__ = [
    "MODELS",
    "RECIPES",
    "SOURCES",
    "History",
    "accuracy",
    "cnn",
    "fit",
    "lenet300",
    "mlp",
    "predict",
    "row_lstm",
    "train",
    "trained",
    "word_lstm",
]
