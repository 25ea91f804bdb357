"""Shards of whole pictures: what is packed is what is read, going on, and what is refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import whole_pictures

from paddle_pose.commands import convert
from paddle_pose.data import record_shards
from paddle_pose.data.whole_people import WholePeople, from_annotations
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings

COCO = DataSettings("coco", "bodypose18")
OWN = DataSettings("coco", "from_file")


def packed(root: Path, *more: str, split: str = "train") -> Path:
    output = root / "bottom_up"
    words = ["--dataset_root", str(root), "--split", split, "--output", str(output), *more]
    convert.main(["bottom_up", *words])
    return output


def assert_alike(ours: WholePeople, theirs: WholePeople) -> None:
    """All but pictures without main persons, which are not packed."""
    kept = np.isin(theirs.image_index, theirs.image_index[theirs.main])
    for name in ("rows", "boxes_xywh", "keypoints", "labelled"):
        np.testing.assert_array_equal(
            getattr(ours, name), getattr(theirs, name)[kept], err_msg=name
        )
    np.testing.assert_array_equal(ours.rows[ours.main], theirs.rows[theirs.main])
    assert ours.skeleton.joints == theirs.skeleton.joints
    for sample in range(len(ours)):
        mine, other = (int(one.image_index[one.main[sample]]) for one in (ours, theirs))
        assert ours.source.photo(mine)[0] == theirs.source.photo(other)[0]
        np.testing.assert_array_equal(ours.source.mask(mine), theirs.source.mask(other))
        np.testing.assert_array_equal(
            ours.rows[ours.people_of(sample)], theirs.rows[theirs.people_of(sample)]
        )


def test_what_is_packed_is_what_is_read(tmp_path, capsys):
    root = whole_pictures.write(tmp_path)
    packed(root, "--masks", "--pictures", "2")
    assert "packed: 4 samples on 3 pictures, 2 shards of" in capsys.readouterr().out
    assert_alike(
        record_shards.people(root, "train2017", COCO),
        from_annotations(root, "train2017", "bodypose18"),
    )
    with tarfile.open(root / "bottom_up/train2017-000000.tar") as archive:
        names = archive.getnames()
    assert names == [f"0000000{n}{end}" for n in (0, 1) for end in (".png", ".mask.png", ".json")]


def test_it_goes_on_where_it_was_stopped(tmp_path, capsys, monkeypatch):
    root = whole_pictures.write(tmp_path)
    output = packed(root, "--pictures", "1")
    files = sorted(output.glob("*.tar"))
    whole = [file.read_bytes() for file in files]
    index = json.loads((output / "train2017.json").read_text())
    stopped = index | {"complete": False, "shards": index["shards"][:2]}
    (output / "train2017.json").write_text(json.dumps(stopped))
    files[1].write_bytes(whole[1][:-1] + b"x")
    files[2].unlink()
    with pytest.raises(UserError, match=r"train2017.json: is not finished"):
        record_shards.people(root, "train2017", COCO)
    capsys.readouterr()
    packed(root, "--pictures", "1")
    said = capsys.readouterr().out
    assert said.count("is there and sound, kept") == 1
    assert [file.read_bytes() for file in files] == whole
    assert json.loads((output / "train2017.json").read_text()) == index
    with pytest.raises(UserError, match=r"made by another rule \('reference'\).*another --output"):
        packed(root, "--pictures", "1", "--rule", "intended")
    with pytest.raises(UserError, match=r"was made without masks; choose another --output"):
        packed(root, "--pictures", "1", "--masks")
    with pytest.raises(UserError, match=r"was made of another file, or with another --pictures"):
        packed(root, "--pictures", "2")


def test_a_main_person_of_older_shards_needs_a_box_with_a_size(tmp_path, monkeypatch, capsys):
    people = whole_pictures.people()
    people[3] |= {"bbox": [20, 20, 80, 0.001]}
    monkeypatch.setattr("paddle_pose.data.whole_people.LEAST_BOX_PX", 0.0)
    root = whole_pictures.write(tmp_path, people)
    with pytest.raises(UserError, match=r"annotation 3 is a main person, but its box \[20.0, 20"):
        packed(root)  # as they were made before; it reads what it wrote


def test_one_of_a_kind_and_nobody_at_all_are_said_in_words(tmp_path, capsys):
    root = whole_pictures.write(tmp_path / "one", whole_pictures.people()[5:6])
    packed(root)
    said = capsys.readouterr().out
    assert "packed: 1 sample on 1 picture, 1 shard of" in said
    assert "1 main person on 1 image, by" in said
    root = whole_pictures.write(tmp_path / "none", [])
    with pytest.raises(UserError, match=r"annotates nobody, so there would be samples of nobody"):
        packed(root)


def test_without_masks_all_counts_and_this_is_said(tmp_path):
    root = whole_pictures.write(tmp_path)
    packed(root)
    people = record_shards.people(root, "train2017", COCO)
    assert people.source.mask(0) is None
    lines = [fact.line() for fact in people.understood.facts]
    assert any("assumed: masks: crowds and unlabelled" in line for line in lines)


def test_a_file_of_ones_own(tmp_path):
    root = whole_pictures.write(tmp_path)
    own = whole_pictures.content(whole_pictures.people())
    own["categories"][0] |= {
        "keypoints": [f"j{i}" for i in range(17)],
        "skeleton": [[1, 2], [2, 3]],
    }
    own["categories"][0]["flip_pairs"] = [["j1", "j2"]]
    file = root / "own.json"
    file.write_text(json.dumps(own))
    output = packed(
        root, "--annotations", str(file), "--masks", "--skeleton", "from_file", split="train2017"
    )
    ours = record_shards.people(root, "x", OWN, annotations=output / "train2017.json")
    assert ours.skeleton.limbs == (("j0", "j1"), ("j1", "j2"))
    assert ours.skeleton.flip_pairs == ((1, 2),)
    theirs = from_annotations(root, "train2017", "from_file", annotations=file, stated=OWN)
    assert_alike(ours, theirs)


def damaged(file: Path, old: bytes, new: bytes) -> None:
    content = file.read_bytes()
    assert content.count(old) >= 1
    file.write_bytes(content.replace(old, new, 1))


def renamed(archive: bytes, old: bytes, new: bytes) -> bytes:
    """A tar file with another name of a member, and the header's sum of bytes that goes with it."""
    at = archive.index(old)
    header = bytearray(archive[at : at + 512].replace(old, new, 1))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return archive[:at] + bytes(header) + archive[at + 512 :]


def test_a_picture_that_training_would_stop_at_is_not_packed(tmp_path):
    for number, (content, said) in enumerate(
        ((b"no picture", "002.png: not an image"), (None, r"002.png: the picture is 12×9, the ann"))
    ):
        root = whole_pictures.write(tmp_path / str(number))
        small = cv2.imencode(".png", np.zeros((9, 12, 3), np.uint8))[1].tobytes()
        (root / "images/train2017/002.png").write_bytes(content or small)
        with pytest.raises(UserError, match=said):
            packed(root)
        assert not list(root.glob("bottom_up/*"))


def test_damage_is_found_when_it_is_read(tmp_path):
    root = whole_pictures.write(tmp_path)
    output = packed(root, "--masks")
    shard, index = output / "train2017-000000.tar", output / "train2017.json"
    sound, told = shard.read_bytes(), index.read_text()
    photo = (root / "images/train2017/001.png").read_bytes()
    shard.write_bytes(sound.replace(photo, photo[:-9] + b"x" + photo[-8:], 1))
    people = record_shards.people(root, "train2017", COCO)
    with pytest.raises(UserError, match=r"000000.tar: 00000000.png is damaged \(wrong CRC\)"):
        people.source.photo(0)
    shard.write_bytes(sound)
    damaged(shard, b'"row": 0', b'"row": 1')
    with pytest.raises(UserError, match=r"its records are not those that were written"):
        record_shards.people(root, "train2017", COCO)
    shard.write_bytes(sound)
    for name, kind in ((b"00000000.mask.png", "mask"), (b"00000000.png", "photo")):
        shard.write_bytes(renamed(sound, name, b"z" + name[1:]))
        with pytest.raises(UserError, match=f"00000000.json: its {kind} is not in the shard"):
            record_shards.people(root, "train2017", COCO)
    shard.write_bytes(sound[:-1])
    with pytest.raises(UserError, match=r"000000.tar: is missing or cut short"):
        record_shards.people(root, "train2017", COCO)
    shard.write_bytes(sound)
    for change, said in (
        ({"shards": []}, "lists no shards"),
        ({"rule": 3}, "'rule' is 3"),
        ({"shards": [{"file": "../x.tar"}]}, r"shards\[0\]: needs file"),
        ({"shards": [json.loads(told)["shards"][0] | {"file": "../x.tar"}]}, "not a relative path"),
    ):
        index.write_text(json.dumps(json.loads(told) | change))
        with pytest.raises(UserError, match=said):
            record_shards.people(root, "train2017", COCO)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--split", "mine"], r"person_keypoints_mine.json: no such annotation file"),
        (["--split", "a/b"], "--split: 'a/b' is not a plain name"),
        (["--pictures", "0"], "--pictures 0: must be from 1"),
        (["--dataset_root", "none"], "--dataset_root none: no such folder"),
    ],
)
def test_mistakes_are_one_line(tmp_path, words, said):
    root = whole_pictures.write(tmp_path)
    with pytest.raises(UserError, match=said):
        packed(root, *words)
    assert not (root / "bottom_up").exists()


def test_an_index_is_not_written_onto_another_file(tmp_path):
    root = whole_pictures.write(tmp_path)
    output = root / "bottom_up"
    output.mkdir()
    (output / "train2017.json").write_text('{"images": []}')
    with pytest.raises(UserError, match=r"is there already and no index of shards"):
        packed(root)
    assert (output / "train2017.json").read_text() == '{"images": []}'
