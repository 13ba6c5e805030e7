"""L1 regularisation that makes exact zeros: gradient steps, each followed by a soft threshold."""

import torch


def soft_threshold(w: torch.Tensor, t: float) -> torch.Tensor:
    """Each weight moved towards zero by t, and to exactly zero where it is no larger: sign(w) max(\\|w\\| - t, 0).

    It is the proximal operator of t times the L1 norm, the v that makes t·sum \\|v\\| + sum (v - w)²/2 smallest
    (Parikh and Boyd 2014, section 6.5.2). Any shape and floating dtype; a new tensor. Raises ValueError for a
    negative t.
    """
    if t < 0:
        raise ValueError(f"t must be at least 0; got {t}")
    return torch.nn.functional.softshrink(w, t)


class ProximalSGD(torch.optim.SGD):
    """SGD whose every step ends in a soft threshold: proximal gradient descent for a loss plus l1 · sum \\|w\\|.

    Beck and Teboulle 2009 (ISTA), with gradients of batches. The threshold is learning rate times l1, so a schedule of
    the learning rate holds for it, too.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them, as torch's optimisers take them. A group may have an ``l1`` of its own: 0 for
        biases.
    lr : float
        Learning rate.
    l1 : float
        Weight of the penalty, at least 0.
    others
        As in torch.optim.SGD: momentum, weight_decay.

    Raises
    ------
    ValueError
        If l1 is negative, or SGD refuses the others.
    """

    def __init__(self, params, lr: float, *, l1: float = 0.0, **others):
        super().__init__(params, lr, **others)
        for group in self.param_groups:
            group.setdefault("l1", l1)
            if not group["l1"] >= 0:
                raise ValueError(f"l1 must be at least 0; got {group['l1']}")

    @torch.no_grad()
    def step(self, closure=None):
        """One step of SGD and one soft threshold; returns what the closure returns."""
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if group["l1"] and parameter.grad is not None:
                    parameter.copy_(soft_threshold(parameter, group["lr"] * group["l1"]))
        return loss
