"""Rows of lesson 11: weights in few bits, after training and trained with the rounding in place."""

from techniques import technique

from coursekit import compress


@technique("int8 weights, float arithmetic")
def int8_weights(model, task):
    return compress.quantize(model, "int8_weights")


@technique("int8, inputs by row at each call", models=("mlp", "lenet300"))
def int8_dynamic(model, task):
    return compress.quantize(model, "int8_dynamic")


@technique("int4 weights")
def int4(model, task):
    return compress.quantize(model, "int4")


@technique("code book of 16")
def codebook(model, task):
    return compress.quantize(model, "codebook", bits=4)


@technique("2 bits, after training")
def two_bits(model, task):
    return compress.prepare_qat(model, 2, input_bits=2, data=task.split.x_train[:512]).eval()


@technique("2 bits, trained with it")
def two_bits_trained(model, task):
    new = compress.prepare_qat(model, 2, input_bits=2, data=task.split.x_train[:512])
    task.tune(new, 3, lr=2e-3)
    return compress.convert_qat(new)


@technique("signs, trained", models=("mlp", "lenet300"))
def signs(model, task):
    new = compress.prepare_qat(model, 1, data=task.split.x_train[:512])
    task.tune(new, 5, lr=2e-3)
    return compress.convert_qat(new)
