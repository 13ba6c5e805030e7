"""Rows of lesson 13: layers as products of thinner ones, trained on for some epochs."""

from techniques import technique

from coursekit import compress

ENERGY = 0.8


@technique("low rank, by energy")
def low_rank(model, task):
    return task.tune(compress.factorize(model, energy=ENERGY))


@technique("Tucker-2, by energy", models=("cnn",))
def tucker(model, task):
    return task.tune(compress.factorize(model, energy=ENERGY, method="tucker", layers=["conv2"]))
