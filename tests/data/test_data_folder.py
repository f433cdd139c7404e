import re
import shutil

import numpy as np
import pytest
import torch
from data_cases import make_images, write_folder
from PIL import Image

from supernet.data import Augment, ImageFolder
from supernet.data import folder as module
from supernet.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path):
    for split, counts in (("train", (3, 4, 2)), ("test", (1, 2, 1))):
        write_folder(tmp_path, split, *make_images(counts, (3, 8, 9)))
    return tmp_path


def refused(folder, *words, **options):
    with pytest.raises(DataError) as caught:
        ImageFolder(str(folder), **options).load()
    for word in words:
        assert word in str(caught.value)


def test_pixels_classes_and_order_are_those_of_the_files(folder):
    raw = ImageFolder(str(folder)).load()
    images, labels = make_images((3, 4, 2), (3, 8, 9))
    assert torch.equal(raw.train.inputs, images)
    assert torch.equal(raw.train.targets, labels)
    assert raw.train.classes == ("ant", "bee", "cat")
    assert torch.equal(raw.test.inputs, make_images((1, 2, 1), (3, 8, 9))[0])
    assert raw.name == folder.name


@pytest.mark.parametrize("small", [0, 10**9])
def test_order_stays_whatever_the_threads_do(folder, monkeypatch, small):
    monkeypatch.setattr(module, "_FILES_PER_TASK", 2)
    monkeypatch.setattr(module, "_SMALL", small)
    raw = ImageFolder(str(folder)).load()
    assert torch.equal(raw.train.inputs, make_images((3, 4, 2), (3, 8, 9))[0])


def test_types_are_recognised_in_any_case_and_the_rest_is_ignored(folder):
    ant = folder / "train" / "ant"
    Image.new("RGB", (9, 8)).save(ant / "x.JPG", "JPEG")
    Image.new("RGB", (9, 8)).save(ant / "y.Jpeg", "JPEG")
    (ant / "README.md").write_text("no image")
    (ant / ".hidden.png").write_bytes(b"no image")
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "labels.csv").write_text("no folder")
    raw = ImageFolder(str(folder)).load()
    assert raw.train.targets.bincount().tolist() == [5, 4, 2]


def test_without_a_test_folder_there_is_no_test_split(folder):
    shutil.rmtree(folder / "test")
    assert ImageFolder(str(folder)).load().test is None


def test_images_are_grey_only_if_all_are(tmp_path):
    write_folder(tmp_path, "train", *make_images((3, 3)))
    write_folder(tmp_path, "test", *make_images((1, 1)))
    assert ImageFolder(str(tmp_path)).load().train.inputs.shape == (6, 1, 8, 8)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "test" / "ant" / "red.png")
    raw = ImageFolder(str(tmp_path)).load()
    grey = make_images((3, 3))[0]
    assert torch.equal(raw.train.inputs, grey.expand(-1, 3, -1, -1))
    assert raw.test.inputs[1, :, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "LA"])
def test_other_colour_modes_become_red_green_blue(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    for name in ("ant", "bee"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).convert(mode).save(tmp_path / "train" / name / f"a.{suffix}")
    assert ImageFolder(str(tmp_path)).load().train.inputs.shape == (2, 3, 8, 8)


def test_size_scales_and_crops_the_middle(tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / "train" / name).mkdir(parents=True)
        pixels = np.zeros((4, 12), dtype=np.uint8)
        pixels[:, 4:8] = 200  # the middle square
        Image.fromarray(pixels).save(tmp_path / "train" / name / "a.png")
    raw = ImageFolder(str(tmp_path), size=4).load()
    assert raw.train.inputs.shape == (2, 1, 4, 4)
    assert (raw.train.inputs == 200).all()


@pytest.mark.parametrize(("side", "crop"), [(4, 1), (16, 2), (32, 4), (64, 8)])
def test_default_augmentation_depends_on_the_size(folder, side, crop):
    assert ImageFolder(str(folder), size=side).load().augment == Augment(flip=True, crop=crop)


def test_different_sizes_are_refused_with_the_way_out(folder):
    odd = folder / "train" / "cat" / "odd.png"
    Image.new("RGB", (40, 30)).save(odd)
    first = folder / "train" / "ant" / "0000.png"
    refused(folder, str(odd), str(first), "9x8 pixels", "40x30 pixels", "`size`, for instance")
    assert ImageFolder(str(folder), size=8).load().train.inputs.shape == (10, 3, 8, 8)


@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize("content", ["cut", "text", "empty", "flipped"])
def test_a_damaged_image_is_named(folder, content, size):
    path = folder / "test" / "bee" / "0001.png"
    good = path.read_bytes()
    bad = {"cut": good[:80], "text": b"<html>", "empty": b"", "flipped": good[:60] + good[:60]}
    path.write_bytes(bad[content])
    refused(folder, str(path), "cannot be used as an image", size=size)


def test_images_of_more_than_8_bits_are_refused(folder):
    path = folder / "train" / "bee" / "deep.png"
    Image.fromarray(np.full((8, 9), 3000, dtype=np.uint16)).save(path)
    refused(folder, str(path), "more than 8 bits")


@pytest.mark.parametrize("split", ["test", "val"])
def test_classes_of_splits_must_agree(folder, split):
    if split != "test":
        (folder / "test").rename(folder / split)
    shutil.move(folder / split / "cat", folder / split / "dog")
    message = f"train and {split} have different classes: only train has cat; only {split} has dog"
    refused(folder, message, "Both need")


def test_classes_without_images_are_left_out_and_said(folder):
    (folder / "train" / "dog" / "inner").mkdir(parents=True)
    (folder / "test" / "cow").mkdir()
    raw = ImageFolder(str(folder)).load()
    assert raw.train.classes == raw.test.classes == ("ant", "bee", "cat")
    assert raw.notes == ("left out: 2 classes (without images; for instance train/dog)",)


def test_a_missing_folder_is_named_with_what_is_there(folder):
    refused(folder / "nowhere", "nowhere is no folder; check the path")
    shutil.rmtree(folder / "train")
    refused(folder, "a folder 'test', but no folder 'train'", "found: test")


def test_without_any_images_of_classes_it_is_said_where_they_belong(tmp_path):
    (tmp_path / "train").mkdir()
    refused(tmp_path, "one for each class", "found: train); put files", f"{tmp_path}/<class>/")
    (tmp_path / "train" / "ant").mkdir()
    refused(tmp_path, "found: ant); put files", f"{tmp_path / 'train'}/<class>/")
    Image.new("L", (8, 8)).save(tmp_path / "train" / "a.png")
    refused(tmp_path, "found: ant; 1 lie in it without a class")


def test_one_class_is_refused_with_the_folder_that_was_meant(folder, tmp_path_factory):
    shutil.move(folder, outer := tmp_path_factory.mktemp("outer") / "archive")
    refused(outer.parent, "one class only, archive", f"classes are test, train, give {outer}")
    ImageFolder(str(outer)).load()


@pytest.mark.parametrize("stream", [False, True])
def test_folders_of_classes_need_no_folder_train(folder, stream):
    raw = ImageFolder(str(folder / "train"), stream=stream).load()
    images, labels = make_images((3, 4, 2), (3, 8, 9))
    assert torch.equal(raw.train.tensor(), images)
    assert torch.equal(raw.train.targets, labels)
    assert raw.test is None
    assert raw.search is None
    (note,) = raw.notes
    assert note.startswith("its folders are the classes, so a part of each class, split.test_fract")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["val", "Validation", "dev"])
def test_a_folder_to_select_with_is_used(folder, name, stream):
    write_folder(folder, name, *make_images((2, 1, 2), (3, 8, 9), first=50))
    (folder / "train").rename(folder / "Training")
    raw = ImageFolder(str(folder), stream=stream).load()
    assert [len(part) for part in (raw.train, raw.search, raw.test)] == [9, 5, 4]
    assert torch.equal(raw.search.tensor(), make_images((2, 1, 2), (3, 8, 9), first=50)[0])
    assert torch.equal(raw.test.tensor(), make_images((1, 2, 1), (3, 8, 9))[0])
    assert raw.search.targets.tolist() == [0, 0, 1, 2, 2]
    assert raw.notes == ()


def test_two_folders_of_one_split_are_refused(folder):
    for name in ("val", "dev"):
        write_folder(folder, name, *make_images((1, 1, 1), (3, 8, 9)))
    refused(folder, "dev and val, which are one split")


def test_a_class_may_be_called_as_a_split_is(tmp_path):
    images, labels = make_images((3, 3))
    write_folder(tmp_path, "", images, labels, names=("train", "tram"))
    assert ImageFolder(str(tmp_path)).load().train.classes == ("train", "tram")


def test_a_size_that_is_no_size_is_refused():
    with pytest.raises(ConfigError, match=re.escape("size is 0; give pixels")):
        ImageFolder("anywhere", size=0)


def test_images_of_every_format_and_depth_are_read_and_the_rest_is_said(tmp_path):
    (tmp_path / "train" / "a" / "inner" / "most").mkdir(parents=True)
    (tmp_path / "train" / "b").mkdir()
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    image = Image.fromarray(pixels)
    for number, name in enumerate(["a/1.webp", "a/inner/2.bmp", "a/inner/most/3.PNG", "b/4.tiff"]):
        lossless = {"lossless": True} if name.endswith("webp") else {}
        Image.fromarray(pixels + number).save(tmp_path / "train" / name, **lossless)
    image.save(tmp_path / "train" / "5.png")
    (tmp_path / "val").mkdir()
    image.save(tmp_path / "val" / "6.png")
    (tmp_path / "train" / "b" / "notes.txt").write_text("no image")
    (tmp_path / ".DS_Store").write_text("hidden")
    (tmp_path / "train" / "b" / "Thumbs.db").write_text("of Windows")
    (tmp_path / "__MACOSX" / "train" / "b").mkdir(parents=True)
    image.save(tmp_path / "__MACOSX" / "train" / "b" / "4.png")
    raw = ImageFolder(str(tmp_path)).load()
    assert raw.train.targets.tolist() == [0, 0, 0, 1]
    expected = torch.from_numpy(pixels).permute(2, 0, 1)
    assert all(torch.equal(one, expected + i) for i, one in enumerate(raw.train.inputs))
    assert raw.notes[1:] == (
        "left out: 3 files (no image in the folder of a class; for instance train/5.png); 3 hidden "
        "files (or one of the system's; for instance .DS_Store)",
    )


def test_of_several_images_in_a_file_the_first_is_read(tmp_path):
    frames = [Image.new("L", (4, 4), grey) for grey in (50, 200)]
    for name, ending in (("a", "gif"), ("b", "TIFF")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / f"1.{ending}"
        frames[0].save(path, ending.upper(), save_all=True, append_images=frames[1:])
    raw = ImageFolder(str(tmp_path)).load()
    assert raw.train.inputs[:, 0].unique().tolist() == [50]


def test_nothing_is_said_where_all_is_read(folder):
    assert ImageFolder(str(folder)).load().notes == ()
