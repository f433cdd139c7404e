import pytest

from supernet.data import NamedDataset
from supernet.errors import DataError


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("no.such.module", {}, "no.such.module.*No module named"),
        ("data_cases.no_such", {}, "data_cases.no_such.*no_such"),
        ("data_cases.named_pairs", {"wrong": 1}, "wrong"),
        ("builtins.dict", {}, "Python's own"),
        ("data_cases.no_dataset", {}, "gave a dict, which is no torch Dataset"),
        ("torch.nn.Linear", {}, "none of the kind that is needed"),
    ],
)
def test_what_cannot_be_made_is_named(path, arguments, words):
    with pytest.raises(DataError, match=words):
        NamedDataset(path, arguments).load()


def test_the_test_set_takes_the_arguments_of_the_other_unless_it_has_its_own():
    path = "data_cases.named_pairs"
    raw = NamedDataset(path, {"count": 5}, test=path).load()
    assert len(raw.train) == len(raw.test) == 10


def test_examples_that_are_dictionaries_have_a_label_of_any_name():
    arguments = {"pairs": [{"age": 1.0, "y": 0}, {"age": 2.0, "y": 1}]}
    raw = NamedDataset("data_cases.Pairs", arguments, label="y").load()
    assert raw.train.tensor()["age"].tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match=r"holds age, y; .* the label as 'label'"):
        NamedDataset("data_cases.Pairs", arguments).load()
