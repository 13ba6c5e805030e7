"""The recurrent models: an LSTM that reads the letters of a word, and one that reads the rows of a digit."""

import torch
from torch import nn

from .rng import seeded


class LastState(nn.Module):
    """An LSTM (Hochreiter and Schmidhuber 1997) of one layer, and a linear layer on its last state.

    Attributes
    ----------
    read : nn.Module
        Makes a sequence of vectors, shape (n, steps, inputs), of what the model is given.
    lstm : nn.LSTM
    fc : nn.Linear
    """

    def __init__(self, read: nn.Module, inputs: int, hidden: int, classes: int):
        super().__init__()
        self.read = read
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (n, classes); n may be 0."""
        if len(x) == 0:  # torch's LSTM refuses an empty batch
            return self.fc.weight.new_zeros(0, self.fc.out_features)
        states, _ = self.lstm(self.read(x))
        return self.fc(states[:, -1])


def word_lstm(hidden: int = 64, *, seed: int = 0) -> LastState:
    """Which syllable of a word is stressed, from its letters: embedding of 16, LSTM, linear layer.

    Takes int64 letters of shape (n, steps), 0 to 26, as `coursekit.data.words` has them, and returns logits of shape
    (n, 3).

    Parameters
    ----------
    hidden : int
        Width of the state, at least 1.
    seed : int
        Chooses the initial weights. torch's global generator is left as it was.

    Returns
    -------
    LastState
        With the layers ``read`` (an embedding), ``lstm`` and ``fc``; 21,619 parameters where hidden is 64.
    """
    _check(hidden)
    with seeded(seed):
        return LastState(nn.Embedding(27, 16), 16, hidden, 3)


def row_lstm(hidden: int = 64, *, seed: int = 0) -> LastState:
    """A digit of the course, row by row from the top: LSTM over 28 steps of 28 pixels, linear layer.

    For whoever has no words: it needs nothing but the digits. Takes and returns what the other models of the digits do;
    24,714 parameters where hidden is 64. ``hidden`` and ``seed`` as in `word_lstm`.
    """
    _check(hidden)
    with seeded(seed):
        return LastState(nn.Flatten(1, 2), 28, hidden, 10)


def _check(hidden: int) -> None:
    if hidden < 1:
        raise ValueError(f"hidden is {hidden}; the state has at least 1 unit")
