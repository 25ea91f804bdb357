"""The page in a real browser: photo, boxes, heat maps, networks, downloads, mistakes, its looks."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

OVERFLOWING = """() => [...document.body.querySelectorAll("*")].filter((node) => {
  const box = node.getBoundingClientRect();
  return !node.closest("#drop input, svg *") && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map((node) => node.outerHTML.slice(0, 80))"""

# WCAG's formula; text must reach 4.5 against what lies behind it.
POOR = """() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
  };
  return [...document.querySelectorAll("p, b, span, label, legend, button, select, summary")]
    .filter((node) => node.checkVisibility()).map((node) => {
      const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
      return [node.outerHTML.slice(0, 80), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    }).filter(([, ratio]) => ratio < 4.5);
}"""

NAMELESS = """() => [...document.querySelectorAll("button, input, select, summary, svg")]
  .filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.length))
  .map((node) => node.outerHTML)"""


JOINT = """() => {
  for (const node of document.querySelectorAll(".joint .reach")) {
    const { x, y, width, height } = node.getBoundingClientRect();
    const middle = [x + width / 2, y + height / 2];
    if (document.elementFromPoint(...middle)?.parentNode === node.parentNode) return middle;
  }
}"""
"""Where on the page a joint lies that is not below another one."""


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no chromium (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser, address):
    """Opens the page; fails on errors in it and on requests to elsewhere."""
    contexts, heard = [], []

    def opened(width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: heard.append(str(error)))
        own = (address, "blob:", "data:")
        tab.on("request", lambda r: None if r.url.startswith(own) else heard.append(r.url))
        tab.set_default_timeout(60_000)  # a busy machine is no failure
        tab.goto(address)
        tab.wait_for_selector("#network option", state="attached")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert not heard


def upload(tab, photo):
    tab.set_input_files("#file", photo)
    settle(tab)


def settle(tab):
    """Until the poses of the newest request are there."""
    tab.wait_for_selector("#results:enabled")
    tab.wait_for_selector("body:not([aria-busy])")


def until(tab, condition):
    """Playwright's own wait_for_function is an eval, which the page's policy forbids."""
    end = time.monotonic() + 60
    while not tab.evaluate(condition):
        assert time.monotonic() < end, condition
        tab.wait_for_timeout(50)


def boxes(tab):
    inputs = tab.locator("#box-list input").evaluate_all("all => all.map((one) => +one.value)")
    return [inputs[i : i + 4] for i in range(0, len(inputs), 4)]


def drag(tab, start, end):
    """From one place to another, both in parts of the photo."""
    area = tab.locator("#photo").bounding_box()
    places = [
        (area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (start, end)
    ]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    tab.mouse.move(*places[1], steps=4)
    tab.mouse.up()
    settle(tab)


def size(photo):
    height, width = cv2.imread(str(photo)).shape[:2]
    return np.array([width, height])


def test_poses_and_maps_appear(open_page, photo):
    tab = open_page()
    assert not tab.locator("#stage").is_visible()
    upload(tab, photo)
    width, height = size(photo)
    assert tab.inner_text("#said") == f"1 pose in {width}×{height} pixels."
    assert not tab.locator("#map").is_visible()
    tab.mouse.move(*tab.evaluate(JOINT))
    assert tab.locator("#map").is_visible()
    name, score = tab.locator(".joints .on").inner_text().split("\n")
    assert tab.inner_text("#said") == f"Person 1, {name}: score {score}"


def test_a_hovered_joint_shows_its_map_and_a_click_keeps_it(open_page, photo):
    tab = open_page()
    upload(tab, photo)
    row = tab.locator(".joints button").nth(6)
    row.hover()
    shown = tab.get_attribute("#map", "href")
    assert shown.startswith("data:image/png;base64,")
    assert row.get_attribute("aria-pressed") == "true"
    tab.mouse.move(5, 5)
    assert not tab.locator("#map").is_visible()
    row.click()
    tab.mouse.move(5, 5)
    assert tab.get_attribute("#map", "href") == shown
    assert tab.locator("#map").is_visible()


def test_boxes_are_drawn_moved_sized_typed_and_removed(open_page, photo):
    tab = open_page()
    upload(tab, photo)
    wide = size(photo)
    drag(tab, (0.2, 0.2), (0.5, 0.8))
    pixel = 1.5  # a pixel of the page is less; rounded twice
    np.testing.assert_allclose(boxes(tab), [[*wide * 0.2, *wide * (0.3, 0.6)]], atol=pixel)
    drag(tab, (0.6, 0.1), (1.5, 0.9))  # ends at the photo's edge
    np.testing.assert_allclose(boxes(tab)[1], [*wide * (0.6, 0.1), *wide * (0.4, 0.8)], atol=pixel)
    assert tab.locator("#people summary").count() == 2
    drag(tab, (0.35, 0.2), (0.25, 0.25))  # by its upper edge
    np.testing.assert_allclose(boxes(tab)[0], [*wide * (0.1, 0.25), *wide * (0.3, 0.6)], atol=3)
    drag(tab, (0.4, 0.85), (0.3, 0.75))  # by its lower right corner
    np.testing.assert_allclose(boxes(tab)[0], [*wide * (0.1, 0.25), *wide * (0.2, 0.5)], atol=4)
    tab.get_by_label("Left of box 1").fill("7")
    tab.get_by_label("Left of box 1").press("Tab")
    settle(tab)
    assert boxes(tab)[0][0] == 7
    tab.get_by_role("button", name="Remove box 1").click()
    settle(tab)
    assert len(boxes(tab)) == 1
    tab.get_by_role("button", name="Remove all").click()
    settle(tab)
    assert tab.locator("#people summary").count() == 1


def test_a_click_draws_no_box(open_page, photo):
    tab = open_page()
    upload(tab, photo)
    tab.locator("#stage").click(position={"x": 9, "y": 9})
    assert boxes(tab) == []


def test_files_are_what_predict_writes(open_page, photo, given):
    from paddle_pose.inference.predictor import PosePredictor

    tab = open_page()
    upload(tab, photo)
    drag(tab, (0.2, 0.2), (0.6, 0.9))
    with tab.expect_download() as file:
        tab.get_by_role("button", name="Download JSON").click()
    assert file.value.suggested_filename == f"{photo.stem}_poses.json"
    records = json.loads(Path(file.value.path()).read_text(encoding="utf-8"))
    poses = PosePredictor.from_weights(given.weights, engine="eager")(photo, boxes(tab))
    np.testing.assert_array_equal(records[0]["keypoints"], poses.to_coco()[0]["keypoints"])
    assert records[0]["file_name"] == photo.name
    with tab.expect_download() as file:
        tab.get_by_role("button", name="Download picture").click()
    assert file.value.suggested_filename == f"{photo.stem}_poses.jpg"
    assert (size(file.value.path()) == size(photo)).all()


def test_another_network_looks(open_page, photo, output):
    tab = open_page()
    upload(tab, photo)
    before = tab.inner_text("#people")
    tab.select_option("#network", str(output / "second"))
    until(tab, f"document.querySelector('#people').innerText !== {json.dumps(before)}")
    settle(tab)
    assert tab.inner_text("#error") == ""


def test_a_bad_file_and_a_bad_box_are_one_line_and_the_page_lives_on(open_page, photo, tmp_path):
    tab = open_page()
    (tmp_path / "notes.jpg").write_text("no photo")
    tab.set_input_files("#file", tmp_path / "notes.jpg")
    tab.wait_for_selector("#error:not(:empty)")
    assert tab.inner_text("#error").startswith("notes.jpg: not an image that OpenCV can read")
    upload(tab, photo)
    assert tab.inner_text("#error") == ""
    tab.click("#add")
    settle(tab)
    tab.get_by_label("Width of box 1").fill("0")
    tab.get_by_label("Width of box 1").press("Tab")
    tab.wait_for_selector("#error:not(:empty)")
    assert tab.inner_text("#error").startswith("box 1: width and height must be above 0")
    tab.get_by_label("Width of box 1").fill("50")
    tab.get_by_label("Width of box 1").press("Tab")
    settle(tab)
    assert tab.inner_text("#error") == ""
    tab.route("**/poses?*", lambda route: route.abort())
    tab.click("#clear")
    tab.wait_for_selector("#error:not(:empty)")
    assert tab.inner_text("#error") == "The server does not answer. Is it still running?"


def test_photos_are_dropped_and_pasted(open_page, photo):
    given = """(event, [name, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name));
      dispatchEvent(event === "drop"
        ? new DragEvent("drop", { dataTransfer: data, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: data }));
    }"""
    for event in ("drop", "paste"):
        tab = open_page()
        content = json.dumps([f"{event}.jpg", [*photo.read_bytes()]])
        tab.evaluate(f"({given})({json.dumps(event)}, {content})")
        settle(tab)
        assert tab.inner_text("#said").startswith("1 pose ")


def test_visitors_do_not_see_each_other(open_page, photo):
    first, second = open_page(), open_page()
    upload(first, photo)
    drag(first, (0.2, 0.2), (0.6, 0.9))
    second.reload()
    assert not second.locator("#stage").is_visible()
    upload(second, photo)
    assert (len(boxes(first)), len(boxes(second))) == (1, 0)


def test_a_finger_taps_scrolls_and_draws(open_page, photo):
    tab = open_page(390, has_touch=True, is_mobile=True)
    upload(tab, photo)
    tab.touchscreen.tap(*tab.evaluate(JOINT))
    assert tab.locator("#map").is_visible()
    tab.locator(".joints .on").tap()
    assert not tab.locator("#map").is_visible()
    tab.locator(".joints button").first.tap()
    assert tab.locator("#map").is_visible()
    tab.locator(".joints button").first.tap()
    assert not tab.locator("#map").is_visible()
    tab.evaluate("scrollTo(0, 0)")
    swipe(tab, (0.2, 0.2), (0.6, 0.8))  # scrolls the page
    assert boxes(tab) == []
    tab.locator("#draw").tap()
    assert tab.get_attribute("#draw", "aria-pressed") == "true"
    tab.evaluate("scrollTo(0, 0)")
    swipe(tab, (0.2, 0.2), (0.6, 0.8))
    tab.wait_for_selector("#box-list li")
    settle(tab)
    wide = size(photo)
    np.testing.assert_allclose(boxes(tab), [[*wide * 0.2, *wide * (0.4, 0.6)]], atol=3)
    assert tab.get_attribute("#draw", "aria-pressed") == "false"
    swipe(tab, (0.4, 0.2), (0.5, 0.3))  # by its upper edge
    until(tab, f"document.querySelector('#box-list input').value > {wide[0] * 0.25}")
    settle(tab)
    np.testing.assert_allclose(boxes(tab)[0], [*wide * 0.3, *wide * (0.4, 0.6)], atol=4)


def swipe(tab, start, end):
    """With a finger; both places in parts of the photo."""
    area = tab.locator("#photo").bounding_box()
    session = tab.context.new_cdp_session(tab)
    steps = [np.array(start) + (np.array(end) - start) * part for part in (0, 0.1, 0.5, 1)]
    for kind, (x, y) in zip(("touchStart", *["touchMove"] * 3), steps, strict=True):
        point = {"x": area["x"] + x * area["width"], "y": area["y"] + y * area["height"]}
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_the_keyboard_reaches_everything(open_page, photo):
    tab = open_page()
    upload(tab, photo)
    tab.focus("#add")
    tab.keyboard.press("Enter")
    settle(tab)
    assert len(boxes(tab)) == 1
    reached = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.innerText"))
    wanted = {"file", "network", "draw", "add", "clear", "least", "json", "picture"}
    assert wanted <= reached
    tab.locator(".joints button").nth(3).focus()
    tab.keyboard.press("Tab")
    assert tab.locator("#map").is_visible()
    assert tab.evaluate(NAMELESS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_and_text_stands_out(open_page, photo, width, scheme):
    tab = open_page(width, color_scheme=scheme)
    for state in ("empty", "full"):
        if state == "full":
            upload(tab, photo)
            tab.click("#add")
            settle(tab)
            tab.locator(".joints button").first.click()
            tab.evaluate("document.querySelector('#error').textContent = 'x'.repeat(300)")
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
        assert tab.evaluate(OVERFLOWING) == []
        disabled = "document.querySelectorAll('fieldset').forEach((one) => one.disabled = false)"
        tab.evaluate(disabled)  # what cannot be used yet may be pale
        assert tab.evaluate(POOR) == []
    dark = (
        sum(
            map(int, tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"))
        )
        < 200
    )
    assert dark == (scheme == "dark")
