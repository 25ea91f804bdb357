"""YAML of users: plain data, or one line."""

from __future__ import annotations

import codecs
import contextlib
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_pose import configs
from paddle_pose.errors import LONGEST_LINE, UserError
from paddle_pose.recipes import plain_yaml
from paddle_pose.recipes import recipe as recipes


def _bomb(width: int, height: int) -> str:
    """``height`` lists of ``width`` aliases of the one before."""
    rows = ["a0: &a0 [" + "x," * width + "x]"]
    rows += [f"a{n}: &a{n} [" + f"*a{n - 1}," * width + "x]" for n in range(1, height)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested 65 levels"),
        ("{a: " * 2_000, "nested 65 levels"),
        ("- " * 2_000, "nested 65 levels"),
        (_bomb(9, 10), "aliases"),
        (_bomb(2, 40), "aliases"),
        (_bomb(1, 1000), "aliases"),
        ("&a [*a]", "aliases"),
        ("a: &a {b: *a}", "aliases"),
        ("<<: &a {<<: *a}", "aliases"),
        ("a: 1\na: 2", "key 'a' twice, again in line 2"),
        ("a: {b: 1,\n b: 1}", "key 'b' twice, again in line 2"),
        ("!!int 'abc'", "not what its tag says"),
        ("!!bool abc", "not what its tag says"),
        ("!!float x", "not what its tag says"),
        ("!!timestamp abc", "not what its tag says"),
        ("{[1]: 2}", "not what its tag says"),
        ("!!python/object/apply:os.system [ls]", "constructor"),
        ("!unknown x", "constructor"),
        ("a:\n\t- b", "line 2"),
        ("'a", "line 1"),
        ("a: [", "line 1"),
        ("a\0b", "special characters"),
        ("--- 1\n--- 2", "document"),
        ("*nothing", "alias"),
        ("9" * 5000, "Exceeds the limit"),
        ("0x" + "f" * 5000, "20000 bits"),
        ("1" * 100, "bits"),
    ],
)
def test_tricks_are_one_line_at_once(text, said):
    began = time.perf_counter()
    with pytest.raises(UserError) as error:
        plain_yaml.parse(text)
    assert time.perf_counter() - began < 2
    assert said in str(error.value)
    assert len(str(error.value)) <= LONGEST_LINE


def test_numbers_are_as_they_look():
    assert plain_yaml.parse("[010, 1:30, 2001-01-01, 1_0, 0x10, -3, +4, 0]") == [
        *("010", "1:30", "2001-01-01", 10, 16, -3, 4, 0)
    ]


def test_aliases_and_merges_that_are_small_stay():
    text = "base: &base {a: 1}\nother: {<<: *base, b: 2}\nlist: [*base]"
    assert plain_yaml.parse(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "encoded",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
)
def test_files_with_marks_are_read(encoded, tmp_path):
    recipe = configs.load("hrnet:w32_mpii_256x256")
    file = tmp_path / "r.yaml"
    file.write_bytes(encoded(recipes.dump_yaml(recipe)))
    assert configs.load(str(file)) == recipe


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xff\xff",
        b"\x80abc",
        b"x" * (1 << 21),
        b"[1]",
        b"3",
        b"name: [a]",
        b"\xfe\xff\x00",
    ],
)
def test_files_that_are_no_recipe_name_themselves(content, tmp_path):
    file = tmp_path / "r.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"r\.yaml: "):
        configs.load(str(file))


def test_places_that_are_no_file(tmp_path):
    for path in (
        tmp_path / "absent.yaml",
        tmp_path / "folder.yaml",
        "a\0.yaml",
        "x" * 5000 + ".yaml",
    ):
        (tmp_path / "folder.yaml").mkdir(exist_ok=True)
        with pytest.raises(UserError, match="cannot read this recipe file"):
            configs.load(str(path))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary())
def test_anything_is_data_or_a_line(text):
    with contextlib.suppress(UserError):
        plain_yaml.parse(text)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_what_is_dumped_is_read_as_it_was(value):
    text = yaml.safe_dump(value, allow_unicode=True)
    assert repr(plain_yaml.parse(text)) == repr(yaml.safe_load(text))
