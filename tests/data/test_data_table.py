import math
import statistics

import numpy as np
import pytest
import torch

from supernet.data import Examples, Normalise, Preprocess, Several, Table, split_data
from supernet.errors import ConfigError, DataError

ROWS = """size,age,colour,class
1.5,3,red,yes
2.5,,blue,no
4,5,"red, dark",yes
,7,,no
"""


@pytest.fixture
def table(tmp_path):
    """Return a source of a file of some text."""

    def made(text=ROWS, name="a.csv", encoding="utf-8", **options):
        (tmp_path / name).write_bytes(text.encode(encoding))
        if "test" in options:
            (tmp_path / "test.csv").write_text(options["test"])
            options["test"] = str(tmp_path / "test.csv")
        return Table(str(tmp_path / name), **options)

    return made


def same(tensor, rows):
    """Return whether a tensor holds these numbers, None for NaN."""
    wanted = torch.tensor([[math.nan if one is None else one for one in row] for row in rows])
    return torch.equal(tensor.nan_to_num(-99), wanted.nan_to_num(-99))


def refused(source, *words):
    with pytest.raises(DataError) as caught:
        source.load()
    for word in words:
        assert word in str(caught.value)


# What becomes of columns.


def test_numbers_come_first_then_gaps_then_categories(table):
    raw = table().load()
    assert same(
        raw.train.inputs,
        [
            # size, age, size is missing, age is missing, blue, red, red, dark
            [1.5, 3, 0, 0, 0, 1, 0],
            [2.5, None, 0, 1, 1, 0, 0],
            [4, 5, 0, 0, 0, 0, 1],
            [None, 7, 1, 0, 0, 0, 0],
        ],
    )
    assert raw.train.scaled == 2
    assert raw.train.classes == ("no", "yes")
    assert raw.train.targets.tolist() == [1, 0, 1, 0]
    assert raw.name == "a"
    assert raw.notes == (
        "values are missing in 'size', 'age'; they are the mean there, and a feature says so",
    )


def test_a_model_may_embed_categories(table):
    text = "size,colour,shape,class\n1,red,round,a\n2,blue,flat,b\n3,,round,b\n"
    raw = table(text, embed=True, test="class,shape,colour,size\na,odd,blue,9\n").load()
    assert isinstance(raw.train.inputs, Several)
    assert raw.train.inputs.names == ("numbers", "categories")
    assert raw.train.words == (
        "<unknown>",
        "colour=blue",
        "colour=red",
        "shape=flat",
        "shape=round",
    )
    inputs = raw.train.tensor()
    assert inputs["numbers"].tolist() == [[1], [2], [3]]
    assert inputs["categories"].tolist() == [[2, 4], [1, 3], [0, 4]]
    assert raw.test.tensor()["categories"].tolist() == [[1, 0]]
    (note,) = raw.notes
    assert note.startswith(
        "in 1 of 1 test rows 'shape' is a category that no row to train with has"
    )


@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_a_table_of_one_kind_has_one_input_to_embed(table, kind):
    text = {"numbers": "a,y\n1,u\n2,v\n", "categories": "a,y\np,u\nq,v\n"}[kind]
    assert table(text, embed=True).load().train.inputs.names == (kind,)


def test_numbers_may_be_names_of_categories(table):
    text = "zip,size,y\n10,1,a\n9,2,b\n10,3,b\n"
    raw = table(text, categorical=["zip"]).load()
    assert raw.train.inputs.tolist() == [[1, 1, 0], [2, 0, 1], [3, 1, 0]]
    assert raw.train.scaled == 1


def test_columns_without_anything_or_without_a_name_are_left_out_and_said(table):
    raw = table(",a,b,c,y\n0,1,,x,u\n1,2,NA,x,v\n", ignore=["c"]).load()
    assert raw.train.inputs.tolist() == [[1], [2]]
    assert raw.notes == ("columns are left out: 1 without a name, 'b' (empty)",)


@pytest.mark.parametrize("mark", ["", "NA", "n/a", "NaN", "?", "null", "-"])
def test_marks_stand_for_missing_numbers(table, mark):
    raw = table(f"a,y\n1,u\n{mark},v\n3,u\n").load()
    assert same(raw.train.inputs, [[1, 0], [None, 1], [3, 0]])


def test_among_texts_marks_are_categories(table):
    raw = table("a,y\nnone,u\nsome,v\n?,u\n").load()
    assert raw.train.inputs.shape == (3, 3)


# Standardisation.


def test_numbers_are_standardised_by_the_training_split_alone(table):
    rows = "".join(f"{n * n % 97},{n},{n % 2}\n" for n in range(60))
    raw = table(f"a,b,y\n{rows}").load()
    splits = split_data(raw, seed=0)
    normalise = Normalise.of(splits.train)
    for column in range(2):
        values = splits.train.inputs[:, column].tolist()
        assert normalise.mean[column] == pytest.approx(statistics.fmean(values))
        assert normalise.std[column] == pytest.approx(statistics.pstdev(values))
    outputs = normalise(splits.train.inputs)
    assert torch.allclose(outputs.mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(outputs.std(0, correction=0), torch.ones(2))
    searched = normalise(splits.search.inputs)
    assert not torch.allclose(searched.mean(0), torch.zeros(2), atol=1e-3)


def test_missing_values_are_the_mean_and_features_of_categories_stay(table):
    examples = table().load().train
    normalise = Normalise.of(examples)
    outputs = normalise(examples.inputs)
    assert outputs[3, 0] == 0
    assert outputs[1, 1] == 0
    assert torch.equal(outputs[:, 2:], examples.inputs[:, 2:])
    deviation = math.sqrt(8 / 3)
    assert outputs[:, 1].tolist() == pytest.approx([-2 / deviation, 0, 0, 2 / deviation], abs=1e-6)
    program = Preprocess(normalise, examples.inputs[:1])
    assert torch.equal(program(examples.inputs), outputs)


def test_a_constant_column_becomes_zero(table):
    examples = table("a,b,y\n0.1,1,u\n0.1,2,v\n0.1,4,v\n").load().train
    assert Normalise.of(examples)(examples.inputs)[:, 0].abs().max() < 1e-6


def test_a_column_without_values_in_the_training_split_is_zero():
    inputs = torch.tensor([[math.nan, 1.0], [math.nan, 2.0]])
    examples = Examples(inputs, torch.tensor([0, 1]), ("a", "b"), scaled=2)
    assert Normalise.of(examples)(inputs).tolist() == [[0, -1], [0, 1]]


@pytest.mark.parametrize(
    ("inputs", "scaled", "message"),
    [
        (torch.zeros(2, 3), 4, r"4 features .* \[\[2, 3\]\]"),
        (torch.zeros(2, 3, 4), 1, r"\[\[2, 3, 4\]\]"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), 1, r"are \[\]"),
        (Several((torch.zeros(2, 3), torch.zeros(2, 3))), 1, r"\[\[2, 3\], \[2, 3\]\]"),
    ],
)
def test_only_features_of_one_table_are_standardised(inputs, scaled, message):
    with pytest.raises(DataError, match=message):
        Examples(inputs, torch.tensor([0, 1]), ("a", "b"), scaled=scaled)


# Targets.


@pytest.mark.parametrize(
    ("cells", "classes", "noted"),
    [
        (["b", "a", "b"], ("a", "b"), False),
        (["10", "9", "9"], ("9", "10"), True),
        (["True", "False", "True"], ("False", "True"), False),
        (["none", "some", "some"], ("none", "some"), False),
        (["0.0", "1.0", "1.0"], (), True),
        (["1.5", "2", "3"], (), True),
        ([str(n) for n in range(21)], (), True),
        ([str(n) for n in range(20)], tuple(map(str, range(20))), True),
    ],
)
def test_what_targets_are_follows_a_rule_and_is_said(table, cells, classes, noted):
    rows = "".join(f"{n},{cell}\n" for n, cell in enumerate(cells))
    raw = table(f"a,y\n{rows}").load()
    assert raw.train.classes == classes
    if classes:
        assert [classes[number] for number in raw.train.targets] == cells
    else:
        assert raw.train.targets.dtype == torch.float32
        assert raw.train.targets.tolist() == [[float(cell)] for cell in cells]
    assert len(raw.notes) == noted
    assert not noted or "data.predict" in raw.notes[0]


@pytest.mark.parametrize("predict", ["classes", "numbers"])
def test_what_targets_are_may_be_said(table, predict):
    raw = table("a,y\n1,1\n2,2\n3,4\n", predict=predict).load()
    assert raw.train.classes == (("1", "2", "4") if predict == "classes" else ())
    assert raw.notes == ()


def test_the_column_of_targets_may_have_a_usual_name(table):
    assert table("a,Label\n1,u\n2,v\n").load().train.classes == ("u", "v")
    refused(table("a,b\n1,u\n2,v\n"), "no column called target, label, class, y", "'a', 'b'")
    refused(table("y,label\n1,u\n2,v\n"), "several columns called y, label")
    assert table("y,label\n1,u\n2,v\n", target="y").load().train.classes == ("1", "2")


# Splits.


def test_a_file_for_the_test_is_encoded_as_the_other_is(table):
    rows = "class,colour,age,size,more\nyes,green,1,,0\nno,red,NA,3,0\n"
    raw = table(test=rows).load()
    assert same(raw.test.inputs, [[None, 1, 1, 0, 0, 0, 0], [3, None, 0, 1, 0, 1, 0]])
    assert raw.test.targets.tolist() == [1, 0]
    assert "such as 'green'; it counts as none" in raw.notes[1]
    assert raw.notes[2] == "columns that only test rows have are not used: 'more'"


def test_a_column_may_say_what_rows_are_for(table):
    text = "a,what,y\n1,train,u\n2,Test,v\n3,dev,u\n4,training,v\n"
    raw = table(text, split="what").load()
    assert raw.train.inputs.tolist() == [[1], [4]]
    assert raw.search.inputs.tolist() == [[3]]
    assert raw.test.inputs.tolist() == [[2]]
    refused(table(text.replace("dev", "later"), split="what"), "line 4: 'what' is 'later'")
    refused(table("a,what,y\n1,test,u\n2,test,v\n", split="what"), "no row is for training")


def test_further_rows_become_inputs_for_a_programme(table, tmp_path):
    source = table()
    (tmp_path / "new.csv").write_text("colour,size,age\nred,8,\n")
    assert same(source.inputs(str(tmp_path / "new.csv")), [[8, None, 0, 1, 0, 1, 0]])


# Files.


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_signs_between_cells_and_byte_order_marks_are_found(table, delimiter, encoding):
    text = ROWS.replace(",", delimiter).replace("red; dark", "red, dark")
    raw = table(text, encoding=encoding).load()
    assert torch.equal(raw.train.inputs.isnan(), table().load().train.inputs.isnan())
    assert raw.train.inputs.shape == (4, 7)


def test_decimal_commas_are_numbers_where_no_comma_parts_cells(table):
    raw = table("a;b;y\n1,5;2;u\n-0,25;3,5;v\n").load()
    assert raw.train.inputs.tolist() == [[1.5, 2], [-0.25, 3.5]]


def test_the_sign_of_a_tsv_file_is_a_tab(table):
    raw = table("a,b\ty\n1\tu\n2\tv\n", name="a.tsv").load()
    assert raw.train.inputs.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty"]),
        ("a,y\n", ["is empty", "a line for each example"]),
        ("a,a,y\n1,2,u\n", ["two columns of one name"]),
        ("a,y\n1,u\n1,2,v\n", ["line 3", "3 cells, but 2 columns"]),
        ("1,2\n3,4\n", ["the first line holds numbers, '1', '2'"]),
        ('a,y\n"1,u\n', ["no CSV"]),
        ("a,y\n1,u\nx,v\n3,u\n", ["line 3: 'a' is 'x', but most", "--data.categorical '[a]'"]),
        ("a,y\n1,u\ninf,v\n3,u\n", ["line 3: 'a' is 'inf'"]),
        ("a,y\n1,u\n1e999,v\n3,u\n", ["line 3: 'a' is infinite"]),
        ("a,y\n1,1\n2,2\n3,\n", ["line 4: the target 'y' is missing", "in 1 row"]),
        ("a,y\n1,1\n2,2\n3,NA\n", ["line 4: the target 'y' is missing"]),
        ("a,y\n1,1\n2,2\n3,many\n", ["line 4: the target 'y' is 'many'", "predict classes"]),
        ("a,y\n1,u\n2,u\n", ["all rows have the target 'u'"]),
        ("y\nu\nv\n", ["no column besides the target 'y'"]),
        ("a,y\n,u\n,v\n", ["no column with anything in it"]),
        (
            "a,y\n" + "".join(f"name{n},{n % 2}\n" for n in range(257)),
            ["'a' has 257 different texts", "--data.ignore '[a]'", "--data.embed true"],
        ),
    ],
)
def test_what_cannot_be_used_is_refused(table, text, words):
    refused(table(text), "a.csv", *words)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("size,class\n1,yes\n", ["test.csv has no column 'age'"]),
        ("size,age,colour\n1,2,red\n", ["test.csv has no column called target"]),
        ("size,age,colour,class\nbig,2,red,no\n", ["line 2: 'size' is 'big', but a number"]),
        ("size,age,colour,class\n1,2,red,perhaps\n", ["class(es) 'perhaps'", "'no', 'yes'"]),
        ("size,age,colour,class\n1,2,red,\n", ["test.csv, line 2: the target 'class' is missing"]),
    ],
)
def test_other_rows_have_to_fit(table, test, words):
    refused(table(test=test), *words)


def test_numbers_that_are_predicted_are_numbers_everywhere(table):
    refused(table("a,y\n1,x\n2,y\n", predict="numbers"), "line 2: the target 'y' is 'x', no number")
    refused(
        table("a,y\n1,.5\n2,.6\n", test="a,y\n1,x\n"), "test.csv, line 2: the target 'y' is 'x'"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "klass"}, ["no column 'klass' for target; did you mean 'class'?", "'size'"]),
        ({"ignore": ["colour", "colr"]}, ["no column 'colr' for ignore; did you mean 'colour'"]),
        ({"categorical": ["sizes"]}, ["no column 'sizes' for categorical"]),
        ({"split": "fold"}, ["no column 'fold' for split"]),
    ],
)
def test_columns_that_options_name_are_looked_for_before_cells(table, options, words):
    refused(table("size,age,colour,class\n" + "odd" * 9 + ",,,\n", **options), "a.csv", *words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": "b.csv", "split": "a"}, "both say which rows are for the test"),
        ({"test": "./a.csv"}, "test is a.csv too"),
        ({"encoding": "klingon"}, "'klingon' is unknown"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Table("a.csv", **options)


@pytest.mark.parametrize("option", [{"ignore": ["class"]}, {"split": "class"}])
def test_the_target_is_no_other_column(table, option):
    with pytest.raises(ConfigError, match="names 'class', which is the target"):
        table(**option).load()


# Data frames.


class Values:
    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values


class Frame:
    """What pandas and polars have in common, as far as it is used."""

    def __init__(self, **columns):
        self.given = {name: np.array(one) for name, one in columns.items()}
        self.columns = list(columns)

    def __getitem__(self, name):
        return Values(self.given[name])

    def to_numpy(self):
        raise NotImplementedError


class NAType:
    """What pandas calls a missing value, which is no true or false."""

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError


def objects(*values):
    return np.array([*values, None], dtype=object)[:-1]


def test_a_data_frame_is_read_as_a_file_is(table):
    frame = Frame(
        size=[1.5, 2.5, 4, math.nan],
        age=objects(3, NAType(), 5.0, np.int64(7)),
        colour=objects("red", "blue", "red, dark", None),
        **{"class": np.array(["yes", "no", "yes", "no"])},
    )
    raw, wanted = Table(frame).load(), table().load()
    assert raw.name == "table"
    assert raw.notes == wanted.notes
    assert torch.equal(raw.train.inputs.nan_to_num(-9), wanted.train.inputs.nan_to_num(-9))
    assert torch.equal(raw.train.targets, wanted.train.targets)
    assert raw.train.classes == wanted.train.classes


def test_types_of_columns_say_what_targets_are():
    def classes(values):
        return Table(Frame(a=[1, 2], y=values)).load().train.classes

    assert classes([0, 1]) == ("0", "1")
    assert classes([True, False]) == ("False", "True")
    assert classes([0.0, 1.0]) == ()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.array(["2026-01-01", "2026-01-02"], "datetime64[D]"), "'a' is datetime64.*days"),
        (objects([1], [2]), "'a' holds a list"),
        (np.array([1, math.inf]), "row 1: 'a' is infinite"),
        (np.zeros((2, 2)), "'a' is float64, neither"),
    ],
)
def test_columns_of_something_else_are_refused(column, message):
    with pytest.raises(DataError, match=message):
        Table(Frame(a=column, y=["u", "v"])).load()


def test_other_objects_are_no_tables():
    with pytest.raises(DataError, match="or a data frame of pandas or polars, not a dict"):
        Table({"a": [1]}).load()
    frame = Frame(a=[1, 2], y=["u", "v"])
    frame.columns = ["a", "a", "y"]
    with pytest.raises(DataError, match="two columns of one name"):
        Table(frame).load()


@pytest.mark.parametrize("name", ["ignore", "categorical"])
def test_one_column_needs_no_list(name, tmp_path):
    (tmp_path / "rows.csv").write_text(
        "a,b,y\n" + "".join(f"{n},{n % 3},{n % 2}\n" for n in range(30))
    )
    one, several = (
        Table(tmp_path / "rows.csv", target="y", **{name: given}).load().train
        for given in ("b", ["b"])
    )
    assert one.inputs.shape == several.inputs.shape
    assert torch.equal(one.inputs, several.inputs)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_a_library_are_what_the_file_is(library, tmp_path):
    frames = pytest.importorskip(library)
    columns = {
        "size": [float(n) if n % 7 else None for n in range(40)],
        "count": list(range(40)),
        "city": ["oslo" if n % 3 else "rome" for n in range(40)],
        "kind": ["high" if n % 2 else "low" for n in range(40)],
    }
    lines = [
        ",".join("" if one is None else str(one) for one in row)
        for row in zip(*columns.values(), strict=True)
    ]
    (tmp_path / "rows.csv").write_text("\n".join([",".join(columns), *lines]))
    frame = Table(frames.DataFrame(columns), target="kind").load().train
    file = Table(tmp_path / "rows.csv", target="kind").load().train
    torch.testing.assert_close(frame.inputs, file.inputs, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(frame.targets, file.targets)
    assert frame.classes == file.classes
