"""Rows of lesson 11: fewer bits for the weights, with and without training on."""

from techniques import technique

from coursekit import compress

PERCEPTRONS = ("mlp", "lenet300")


@technique("int8 weights, float products")
def int8_weights(model, task):
    return compress.quantize(model, "int8_weights")


@technique("int8 dynamic", models=PERCEPTRONS)
def int8_dynamic(model, task):
    return compress.quantize(model, "int8_dynamic")


@technique("int4 weights")
def int4(model, task):
    return compress.quantize(model, "int4")


@technique("book of 16 numbers")
def codebook(model, task):
    return compress.quantize(model, "codebook")


@technique("2 bits, trained on")
def two_bits(model, task):
    return compress.convert_qat(task.tune(compress.prepare_qat(model, 2), lr=2e-3))


@technique("binary, trained on", models=PERCEPTRONS)
def binary(model, task):
    prepared = compress.prepare_qat(model, 1, data=task.split.x_train[:512])
    return compress.convert_qat(task.tune(prepared, epochs=8))
