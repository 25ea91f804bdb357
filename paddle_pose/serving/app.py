"""The page's server: a photo comes in, its poses go out, and nothing is kept between two requests.

The browser keeps the photo and its boxes and sends both each time: visitors share nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from paddle_pose import drawing
from paddle_pose.codecs.codec import Codec
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data.images import decode_rgb
from paddle_pose.errors import UserError, is_memory
from paddle_pose.files import json_text, parse_json
from paddle_pose.inference.boxes import outside
from paddle_pose.inference.frames import Frame, Seen, closer, look
from paddle_pose.inference.people import require_boxes
from paddle_pose.inference.sources import end_number
from paddle_pose.limits import LIMITS
from paddle_pose.plain import all_numbers
from paddle_pose.serving.networks import Networks
from paddle_pose.system import ending

SHOWN_PX = 1600
"""The longer side of the photo as the page shows it; poses are found in the whole one."""

_HEADERS = {
    # The browser itself refuses whatever would be fetched from elsewhere.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(networks: Networks, worker: ThreadPoolExecutor, hosts: Collection[str] = ()) -> Flask:
    """The page and what it asks for; mistakes are answered as ``{"error": line}``.

    Args:
        networks: what visitors can choose from.
        worker: the one thread in which networks are loaded and run, as Paddle wants it.
        hosts: names that the page is reached by; any where there are none.
    """
    app = Flask(__name__, static_folder="page", static_url_path="")
    app.before_request(lambda: _refuse_other_sites(hosts))
    app.after_request(_add_headers)
    app.register_error_handler(Exception, _say)

    def look() -> tuple[Seen, Codec]:
        return worker.submit(_look, networks, Asked.of_request()).result()

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.get("/networks")
    def offer() -> Response:
        limit = LIMITS["image_file_bytes"]
        return jsonify(networks=networks.names(), most_bytes=limit.most, most_text=limit.text)

    @app.post("/photo")
    def show() -> Response:
        pixels = _photo()
        height, width = pixels.shape[:2]
        factor = min(1.0, SHOWN_PX / max(width, height))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        reply = _jpeg(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        reply.headers["X-Size"] = f"{width} {height}"
        return reply

    @app.post("/poses")
    def poses() -> Response:
        return jsonify(_answer(*look()))

    @app.post("/picture")
    def picture() -> Response:
        least = request.args.get("min_score", 0.2, float)
        seen, _ = look()
        return _jpeg(seen.poses.draw(seen.frame.pixels, min_score=least))

    return app


def _refuse_other_sites(hosts: Collection[str]) -> None:
    """Also one whose name leads to this machine, which browsers take for the page itself."""
    asker = request.headers.get("Sec-Fetch-Site", "none")
    name = urlsplit(f"//{request.host}").hostname
    if (asker not in ("same-origin", "none") and request.method != "GET") or (
        hosts and name not in hosts
    ):
        raise UserError("another web site asked; open this page itself")


def _add_headers(reply: Response) -> Response:
    reply.headers.update(_HEADERS)
    return reply


def _say(error: Exception) -> tuple[Response, int]:
    if isinstance(error, UserError):
        return jsonify(error=str(error)), 422
    if isinstance(error, HTTPException):
        return jsonify(error=str(error.description)), error.code or 500
    if is_memory(error):
        return jsonify(error="memory ran out; try a smaller photo or network"), 507
    current_app.logger.exception("a request failed; the page goes on")
    return jsonify(error="a fault of this program; its terminal says more"), 500


def _name() -> str:
    """The photo's, which is written into files and messages and opens none."""
    return PurePosixPath(request.args.get("name", "").replace("\\", "/")).name[:120] or "photo"


def _photo() -> np.ndarray:
    """The one that was sent, upright as ``predict.py`` has it; Raises UserError."""
    data = request.get_data(cache=False)
    LIMITS["image_file_bytes"].require(len(data), _name())
    return decode_rgb(data, _name(), apply_exif=True)


@dataclass(frozen=True)
class Asked:
    """What a visitor wants to know: by which network, of which photo, in which boxes."""

    network: str
    pixels: np.ndarray
    boxes: np.ndarray | None
    image_id: int

    @classmethod
    def of_request(cls) -> Asked:
        """Raises UserError."""
        pixels = _photo()
        boxes = parse_json(request.args.get("boxes", "[]").encode(), "boxes")
        number = end_number(_name())
        return cls(
            request.args.get("network", ""),
            pixels,
            inside(boxes, pixels) if boxes else None,
            1 if number is None else number,
        )


def inside(boxes: Any, pixels: np.ndarray) -> np.ndarray:
    """(N, 4) float64; Raises UserError for boxes that are none, or lie outside of the photo."""
    boxes = boxes if isinstance(boxes, list) else [boxes]
    LIMITS["page_boxes"].require(len(boxes), "boxes")
    for number, box in enumerate(boxes, 1):
        usable = isinstance(box, list) and len(box) == 4 and all_numbers(box)
        if not usable or min(box[2:]) <= 0:
            raise UserError(f"box {number}: width and height must be above 0; change or remove it")
    given = require_boxes(boxes)
    for row in np.flatnonzero(outside(given, pixels))[:1]:
        raise UserError(
            f"box {row + 1} ({', '.join(f'{v:g}' for v in given[row])}) lies outside of the "
            f"photo's {pixels.shape[1]}×{pixels.shape[0]} pixels; move or remove it"
        )
    return given


def _look(networks: Networks, asked: Asked) -> tuple[Seen, Codec]:
    if ending.asked():
        raise UserError("the server is being stopped")
    predictor = networks.get(asked.network or None)
    people = predictor.people(asked.pixels, asked.boxes, asked.image_id)
    maps = isinstance(predictor.recipe.codec, HeatmapCodec)
    frames, size = iter([Frame(asked.pixels, people, 0)]), predictor.batch_size
    if asked.boxes is None:
        frames = closer(predictor, frames, batch_size=size)
    return next(look(predictor, frames, batch_size=size, maps=maps)), predictor.recipe.codec


def _answer(seen: Seen, codec: Codec) -> dict[str, Any]:
    """What the page draws, and COCO's results as ``predict.py`` writes them."""
    skeleton, poses = seen.poses.skeleton, seen.poses
    records = [{**record, "file_name": _name()} for record in poses.to_coco()]
    people = [
        {"score": float(score), "joints": joints.tolist()}
        for score, joints in zip(poses.scores, poses.keypoints, strict=True)
    ]
    if seen.maps is not None and isinstance(codec, HeatmapCodec):
        cut = seen.frame.people
        for row, (person, maps) in enumerate(zip(people, seen.maps, strict=True)):
            height, width = maps.shape[1:]
            corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])  # of the cells
            place = cut.part(slice(row, row + 1)).place
            at = codec.to_image(corners[None], place, (width, height))[0]
            person["place"] = [*at[0].tolist(), *(at[1] - at[0]).tolist()]
            person["maps"] = [_over(cells) for cells in maps]
    limbs = [
        [skeleton.index(a), skeleton.index(b), drawing.limb_side(a, b)] for a, b in skeleton.limbs
    ]
    return {
        "joints": [[joint, drawing.side_of(joint)] for joint in skeleton.joints],
        "limbs": limbs,
        "people": people,
        "results": json_text(records) + "\n",
    }


def _over(cells: np.ndarray) -> str:
    """A map to lay over the photo, from nothing at 0 by blue to red at 1: a PNG's data URL."""
    levels = np.clip(cells * 255, 0, 255).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2BGRA)
    colors[..., 3] = np.minimum(levels * 2.0, 190)
    encoded = cv2.imencode(".png", colors)[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(encoded).decode()


def _jpeg(pixels: np.ndarray) -> Response:
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]))[1]
    return Response(encoded.tobytes(), mimetype="image/jpeg")
