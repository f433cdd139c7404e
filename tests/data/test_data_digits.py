from sklearn.datasets import load_digits

from supernet.data import Augment, Digits


def test_ink_and_labels_are_those_of_scikit_learn():
    pixels, labels = load_digits(return_X_y=True)
    raw = Digits().load()
    assert (raw.train.inputs.flatten(1).numpy() == pixels * 15).all()
    assert raw.train.targets.tolist() == labels.tolist()
    assert raw.train.inputs.max() == 240
    assert raw.train.classes == tuple("0123456789")
    assert raw.name == "digits"
    assert raw.augment == Augment(crop=1)
