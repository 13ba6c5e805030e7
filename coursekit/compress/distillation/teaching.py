"""What a student is trained on beside its labels: a teacher's softened outputs, features, and where it looks.

All losses are means over the examples of a batch. The logits, of shape (n, classes), are called z for the student and v
for the teacher. Nothing here has a gradient with respect to the teacher.
"""

import torch
import torch.nn.functional as F

NO_LABEL = -1
"""Stands among the labels where an example has none."""


def softened(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Probabilities softmax(logits / T), shape (n, classes): the higher the temperature, the more alike."""
    _check_temperature(temperature)
    return torch.softmax(logits / temperature, dim=-1)


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² KL(softmax(v/T) ‖ softmax(z/T)), in nats: how far the student's softened outputs are from the teacher's.

    The factor T² keeps the size of the gradient as T rises (G. Hinton, O. Vinyals, J. Dean, Distilling the knowledge in
    a neural network, arXiv:1503.02531, 2015, section 2).

    Parameters
    ----------
    student, teacher : Tensor, floating, shape (n, classes)
        Logits z and v.
    temperature : float
        T, above 0.

    Returns
    -------
    Tensor, shape ()
        0 where n is 0.

    Raises
    ------
    ValueError
        If the shapes differ, or the temperature is not a positive number.
    """
    _check_temperature(temperature)
    _check_alike("logits", student, teacher)
    if len(student) == 0:
        return student.sum()
    p, q = F.log_softmax(teacher.detach() / temperature, -1), F.log_softmax(student / temperature, -1)
    return temperature**2 * F.kl_div(q, p, reduction="batchmean", log_target=True)


def soft_gradient(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """The gradient of `soft_loss` with respect to z, shape (n, classes): T (softmax(z/T) - softmax(v/T)) / n."""
    _check_alike("logits", student, teacher)
    difference = softened(student, temperature) - softened(teacher, temperature)
    return temperature * difference / max(len(student), 1)


def task_loss(student: torch.Tensor, labels: torch.Tensor, share: float = 1.0) -> torch.Tensor:
    """Cross-entropy with the labels, in nats; examples whose label is -1 have no part in it.

    Parameters
    ----------
    student : Tensor, shape (n, classes)
    labels : Tensor, int64, shape (n,)
    share : float
        Share of the whole data that has labels, above 0. Batches hold more of them or fewer; divided by the expected
        number, their sum is on average the mean over all labelled examples.
    """
    if share == 1:
        return F.cross_entropy(student, labels)
    summed = F.cross_entropy(student, labels, ignore_index=NO_LABEL, reduction="sum")
    return summed / (share * max(len(labels), 1))


def hinton_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    *,
    temperature: float = 4.0,
    weight: float = 1.0,
) -> torch.Tensor:
    """Cross-entropy with the labels plus `weight` (λ) times `soft_loss`: Hinton, Vinyals and Dean 2015.

    Often written (1 - α) task + α T² KL: that is the same direction for λ = α / (1 - α).
    """
    _check_weight("weight", weight)
    return task_loss(student, labels) + weight * soft_loss(student, teacher, temperature)


def feature_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of two layers' outputs of the same shape, the student's projected where need be.

    The hints of FitNets (A. Romero et al., ICLR 2015, equation 3, up to its factor).
    """
    _check_alike("features", student, teacher)
    return F.mse_loss(student, teacher.detach())


def attention_map(features: torch.Tensor) -> torch.Tensor:
    """Where a convolutional layer is active: its squares summed over the channels, scaled to length 1.

    Parameters
    ----------
    features : Tensor, shape (n, channels, height, width)

    Returns
    -------
    Tensor, shape (n, height * width)
        Zeros where nothing is active.
    """
    if features.ndim != 4:
        raise ValueError(
            f"attention needs features of shape (n, channels, height, width); got {tuple(features.shape)}"
        )
    return F.normalize(features.square().sum(dim=1).flatten(1), dim=1)


def attention_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared distance of the two attention maps; the numbers of channels may differ.

    S. Zagoruyko, N. Komodakis, Paying more attention to attention, ICLR 2017, section 3.1, with squared distances as in
    their code. A teacher's map of another height and width is averaged to the student's.
    """
    if student.ndim == teacher.ndim == 4 and student.shape[2:] != teacher.shape[2:]:
        squares = F.adaptive_avg_pool2d(teacher.detach().square().sum(1, keepdim=True), student.shape[2:])
        teacher = squares.sqrt()
    distance = attention_map(student) - attention_map(teacher.detach())
    return distance.square().sum(1).mean() if len(student) else student.sum()


def _check_temperature(temperature: float) -> None:
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}; it must be a positive number, such as 4")


def _check_weight(name: str, weight: float) -> None:
    if not 0 <= weight < float("inf"):
        raise ValueError(f"{name} is {weight}; it must be a number of at least 0")


def _check_alike(what: str, student: torch.Tensor, teacher: torch.Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f"student and teacher must have {what} of the same shape; "
            f"got {tuple(student.shape)} and {tuple(teacher.shape)}"
        )
