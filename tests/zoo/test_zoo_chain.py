import pytest

from supernet.errors import SpaceError
from supernet.space import Architecture, Edge, Node
from supernet.zoo.arguments import check_halvings, check_lengths, check_positive
from supernet.zoo.chain import chain, identities_last, strides_by_layer


def layers(letters):
    return Architecture({f"layer{i}": "identity" if x == "-" else x for i, x in enumerate(letters)})


@pytest.mark.parametrize(
    ("movable", "before", "after"),
    [
        ("yyyy", "-a-b", "ab--"),
        ("nyyy", "--ba", "-ba-"),
        ("yynyy", "-a--b", "a--b-"),
        ("nnn", "-a-", "-a-"),
        ("y", "-", "-"),
        ("yyy", "cab", "cab"),
    ],
)
def test_identities_move_among_movable_neighbours_only(movable, before, after):
    free = [letter == "y" for letter in movable]

    assert identities_last(layers(before), free) == layers(after)


def test_identities_may_have_another_name():
    architecture = Architecture({"layer0": "skip", "layer1": "identity"})

    assert identities_last(architecture, [True, True], "skip") == Architecture(
        {"layer0": "identity", "layer1": "skip"}
    )


def test_more_than_ten_layers_stay_in_order():
    architecture = Architecture({f"layer{i}": f"option{i}" for i in range(12)})

    assert identities_last(architecture, [True] * 12) == architecture


def test_the_first_layer_of_a_stage_has_its_stride():
    assert list(strides_by_layer((2, 1, 3), (2, 1, 2))) == [
        *[(0, 2), (0, 1), (1, 1), (2, 2), (2, 1), (2, 1)]
    ]


def test_a_chain_is_drawn_from_input_to_output():
    diagram = chain("Title", {"b": "second name", "a": "first name"})

    assert diagram.title == "Title"
    assert diagram.nodes[1:3] == (
        Node("b", "second name", "operation"),
        Node("a", "first name", "operation"),
    )
    assert [node.kind for node in diagram.nodes] == ["input", "operation", "operation", "output"]
    assert diagram.edges == (Edge("input", "b"), Edge("b", "a"), Edge("a", "output"))


def test_positive_arguments_pass():
    check_positive(image=(1, 1, 1), classes=1, stages=[3])


@pytest.mark.parametrize("bad", [{"classes": 0}, {"stages": ()}, {"stages": [1, -1]}])
def test_other_arguments_are_named_with_their_values(bad):
    with pytest.raises(SpaceError, match=r"must be positive, .*and none empty") as caught:
        check_positive(**{"image": (1, 2, 3), "classes": 4, **bad})
    for name, value in {"image": (1, 2, 3), **bad}.items():
        assert f"{name} {value}" in str(caught.value)


def test_stages_must_agree_on_their_number():
    check_lengths(widths=(1, 2), depths=(3, 4))
    with pytest.raises(
        SpaceError, match=r"widths \(1, 2\), depths \(3,\), each .*one entry per stage"
    ):
        check_lengths(widths=(1, 2), depths=(3,))


@pytest.mark.parametrize(("side", "strides"), [(8, (2, 2, 2)), (1, (1, 1)), (9, (2, 1, 2, 2))])
def test_images_that_are_large_enough_pass(side, strides):
    check_halvings((1, side, 100), strides)
    check_halvings((1, 100, side), strides)


@pytest.mark.parametrize(
    ("image", "strides", "message"),
    [
        ((1, 7, 9), (2, 2, 2), "7×9 cannot be halved 3 times; at most 2 times"),
        ((1, 9, 3), (2, 1, 2), "9×3 cannot be halved 2 times; at most 1 times"),
        ((1, 9, 9), (2, 3), r"strides: a stride is 1 or 2 .*not \(2, 3\)"),
        ((1, 9, 9), (0,), r"strides: a stride is 1 or 2 .*not \(0,\)"),
    ],
)
def test_too_small_images_and_other_strides_are_refused(image, strides, message):
    with pytest.raises(SpaceError, match=message):
        check_halvings(image, strides)
