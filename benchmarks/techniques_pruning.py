"""Rows of lesson 10: weights gone in three patterns, and channels gone, each trained on for some epochs."""

from techniques import technique

from coursekit import compress

SHARE = 0.9


def _pruned(model, task, pattern, share=SHARE):
    steps = 1 if task.quick or ":" in pattern else 4
    return compress.prune_gradually(model, share, task.tune, steps=steps, pattern=pattern)


@technique("masks, 90 %")
def masks(model, task):
    return _pruned(model, task, "single")


@technique("compressed rows, 90 %", models=("mlp", "lenet300"))
def csr(model, task):
    return compress.to_sparse(_pruned(model, task, "single"), "csr")


@technique("blocks, 90 %", models=("mlp", "lenet300"))
def block(model, task):
    return compress.to_sparse(_pruned(model, task, "block"), "block")


@technique("two in four", models=("mlp", "lenet300"))
def two_four(model, task):
    return compress.to_sparse(_pruned(model, task, "2:4", 0.5), "two_four")


@technique("half the channels")
def channels(model, task):
    return task.tune(compress.remove_channels(model, 0.5, example=task.split.x_train[:2]))
