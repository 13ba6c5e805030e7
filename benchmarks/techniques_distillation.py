"""Rows of lesson 12: a perceptron of 16 hidden neurons on labels alone, and taught by the model of the table."""

from techniques import technique

from coursekit import compress, models

WIDTH = 16


def _student(model, task, **settings):
    epochs = 1 if task.quick else 10
    student = models.mlp(WIDTH, seed=task.seed)
    recipe = {"epochs": epochs, "batch_size": 64, "lr": 2e-2, "weight_decay": 0.1, "seed": task.seed}
    return compress.distill(student, model, task.split, **recipe, **settings)


@technique("16 neurons, labels alone")
def alone(model, task):
    return _student(model, task, weight=0)


@technique("16 neurons, taught")
def taught(model, task):
    return _student(model, task, temperature=2)
