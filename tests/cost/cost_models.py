"""Small models with choices in all positions; their input is `X`."""

import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn

X = torch.randn(1, 4, 6, 6)


def conv(kernel, groups=1):
    return nn.Conv2d(4, 4, kernel, padding=kernel // 2, groups=groups)


def pair(label=None, kernels=(3, 1), pick=1):
    return sn.Choice({str(k): conv(k) for k in kernels}, pick, label)


def plain():
    return nn.Sequential(conv(5), pair(), nn.BatchNorm2d(4), pair(pick=(1, 2)))


def nested():
    inner = nn.Sequential(pair(pick=(1, 2)), conv(1))
    return nn.Sequential(sn.Choice({"deep": inner, "flat": conv(7)}), pair())


def choice_in_choice():
    return sn.Choice(
        {"direct": pair(), "flat": conv(7), "two": nn.Sequential(pair(), pair())}, (1, 3)
    )


def shared_label():
    below = [sn.Choice({"deep": pair("op", (3, 1)), "flat": conv(7)}) for _ in range(2)]
    return nn.Sequential(*below, pair("other"), pair("other", (3, 1)))


def shared_choice():
    shared = pair()
    return nn.Sequential(sn.Choice({"once": nn.Sequential(shared), "no": conv(1)}), shared)


def tied_in_two_options():
    tied = conv(3)
    return sn.Choice(
        {"a": nn.Sequential(tied), "b": nn.Sequential(tied, conv(1)), "c": conv(5)}, (1, 2)
    )


def tied_across_choices():
    tied = conv(3)
    first = sn.Choice({"tied": tied, "other": conv(1)})
    second = sn.Choice({"tied": tied, "inside": nn.Sequential(tied, conv(1)), "other": conv(5)})
    return nn.Sequential(first, second)


def tied_weight():
    one, two = conv(3), conv(3)
    two.weight = one.weight
    return nn.Sequential(sn.Choice([one, conv(1)]), sn.Choice([two, nn.Identity()]))


def same_option_twice():
    shared = conv(3)
    return sn.Choice({"a": shared, "b": shared, "c": conv(1)}, (1, 3))


def option_called_elsewhere():
    shared = conv(3)
    return nn.Sequential(shared, sn.Choice({"a": shared, "b": conv(1)}), shared)


class Inputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = conv(1)
        self.join = sn.InputChoice({"x": conv(3), "first": conv(5), "none": nn.Identity()}, (1, 3))

    def forward(self, x):
        return self.join([x, self.first(x), x])


class TwiceAtTwoSizes(nn.Module):
    """One choice that is called twice, the second time on smaller images."""

    def __init__(self):
        super().__init__()
        self.shared = pair(pick=(1, 2))
        self.classifier = nn.Linear(4 * 3 * 3, 2)

    def forward(self, x):
        return self.classifier(self.shared(F.max_pool2d(self.shared(x), 2)).flatten(1))


def twice_in_an_option():
    return nn.Sequential(sn.Choice({"twice": TwiceAtTwoSizes(), "once": Flat()}), nn.Linear(2, 2))


class Flat(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(4 * 6 * 6, 2))


MODELS = [
    plain,
    nested,
    choice_in_choice,
    shared_label,
    shared_choice,
    tied_in_two_options,
    tied_across_choices,
    tied_weight,
    same_option_twice,
    option_called_elsewhere,
    Inputs,
    TwiceAtTwoSizes,
    twice_in_an_option,
]
