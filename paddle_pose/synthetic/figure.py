"""The body parts of one drawn figure, dressed, as facets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from paddle_pose.synthetic.facets import Facets, add_ellipsoid, add_tube, bands
from paddle_pose.synthetic.look import FRONT_TINT, Look, top_colours
from paddle_pose.synthetic.pose import SIDES, Figure


def build(figure: Figure, look: Look) -> Facets:
    """All facets of a dressed figure."""
    facets = Facets([], [], [])
    _legs(facets, figure, look)
    _torso(facets, figure, look)
    _arms(facets, figure, look)
    _head(facets, figure, look)
    return facets


def _creased(
    colours: Callable[[np.ndarray], np.ndarray], bend: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Colours with the shadow of folds at the end (0 or 1) of a limb that bends."""
    return lambda t: colours(t) * (1 - 0.3 * np.exp(-(((t - bend) / 0.09) ** 2)))[:, None]


def _legs(facets: Facets, figure: Figure, look: Look) -> None:
    girth = figure.body.girth
    for side, name in SIDES.items():
        hip, knee, ankle = (figure.joint(f"{name}_{part}") for part in ("hip", "knee", "ankle"))
        loose = 0.02 if look.trouser_length > 1.5 else 0.0
        thigh = [(0, 0.31), (0.35, 0.285), (0.8, 0.215), (1, 0.2)]
        shank = [(0, 0.19 + loose), (0.3, 0.2 + loose), (0.7, 0.145 + 2 * loose),
                 (0.97, 0.115 + 2.5 * loose)]  # fmt: skip
        upper = bands((look.trouser_length, look.trousers), (9, look.skin))
        hem = min(look.trouser_length - 1, 0.9)
        lower = bands((hem, look.trousers), (0.9, look.skin), (9, look.accent))
        towards = 2 * FRONT_TINT * figure.shank[side][:, 2]
        add_tube(facets, hip, knee, [(t, r * girth) for t, r in thigh], _creased(upper, 1),
                 segments=16, lighter_towards=towards)  # fmt: skip
        add_tube(facets, knee, ankle, [(t, r * girth) for t, r in shank], _creased(lower, 0),
                 lighter_towards=towards)  # fmt: skip
        _shoe(facets, ankle, figure.shank[side], look)
    if look.skirt:
        _skirt(facets, figure, look)


def _shoe(facets: Facets, ankle: np.ndarray, frame: np.ndarray, look: Look) -> None:
    heel = ankle + frame @ np.array([0, -0.13, -0.1])
    toe = ankle + frame @ np.array([0, -0.19, 0.54])
    sole = np.array([0, -0.06, 0.0])
    pale = np.array([225.0, 228, 230]) if look.shoes.mean() < 200 else np.array([70.0, 70, 74])
    profile = [(0, 0.14), (0.5, 0.145), (1, 0.12)]
    add_tube(facets, heel + frame @ sole, toe + frame @ sole, profile, bands((9, pale)), bias=-0.05)
    add_tube(facets, heel, toe, profile, bands((0.78, look.shoes), (9, pale)))


def _skirt(facets: Facets, figure: Figure, look: Look) -> None:
    """A cone from the hips around both thighs; none where the thighs point apart."""
    knees = [figure.joint(f"{name}_knee") for name in SIDES.values()]
    hips = [figure.joint(f"{name}_hip") for name in SIDES.values()]
    thighs = [(knee - hip) / figure.body.thigh for knee, hip in zip(knees, hips, strict=True)]
    if thighs[0] @ thighs[1] < 0.7:
        return
    down = sum(thighs) / np.linalg.norm(sum(thighs))
    lateral = figure.pelvis[:, 0] - (figure.pelvis[:, 0] @ down) * down
    lateral /= np.linalg.norm(lateral)
    fore = np.cross(lateral, -down)
    theta = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    rings = []
    for fraction in np.linspace(0.72, -0.12, 8):
        reach = fraction * figure.body.thigh
        points = [hip + max(0, reach) * way for hip, way in zip(hips, thighs, strict=True)]
        apart = 0.5 * abs((points[0] - points[1]) @ lateral)
        wide = apart + (0.27 + 0.12 * max(0, fraction)) * figure.body.girth
        deep = (0.33 + 0.22 * max(0, fraction)) * figure.body.girth
        center = 0.5 * (points[0] + points[1]) + min(0, reach) * down
        ring = wide * np.cos(theta)[:, None] * lateral - deep * np.sin(theta)[:, None] * fore
        rings.append(center + ring)
    facets.add(np.array(rings), look.trousers * np.ones((1, 1, 3)), 0.12)


def _torso(facets: Facets, figure: Figure, look: Look) -> None:
    """Elliptic rings along the bent spine; the cut of the top decides the colours."""
    body = figure.body
    shoulder, girth = body.shoulder_half, body.girth
    belly = max(0.0, girth - 1.05)
    at = np.array([-0.17, -0.08, 0.02, 0.28, 0.6, 0.85, 0.98, 1.04, 1.09, 1.13, 1.2])
    half_wide = np.array(
        [0.34, body.hip_half + 0.24 * girth, body.hip_half + 0.2 * girth, 0.47 * girth,
         0.56 * girth, shoulder * 0.92, shoulder * 0.97, shoulder * 0.88, 0.4, 0.27, 0.18]
    )  # fmt: skip
    half_deep = girth * np.array(
        [0.22, 0.33, 0.34, 0.29 + belly, 0.33 + 0.5 * belly, 0.33, 0.26, 0.22, 0.2, 0.18, 0.16]
    )
    t = np.linspace(-0.17, 1.2, 38)
    wide, deep = np.interp(t, at, half_wide), np.interp(t, at, half_deep)
    thorax, waist = figure.joint("thorax"), 0.5 * body.torso * figure.pelvis[:, 1]
    s = np.clip(t, 0, 1)[:, None]
    center = 2 * s * (1 - s) * waist + s**2 * thorax
    center = center + np.minimum(t, 0)[:, None] * body.torso * figure.pelvis[:, 1]
    center = center + np.maximum(t - 1, 0)[:, None] * body.torso * figure.chest[:, 1]
    lateral = (1 - s) * figure.pelvis[:, 0] + s * figure.chest[:, 0]
    fore = (1 - s) * figure.pelvis[:, 2] + s * figure.chest[:, 2]
    theta = _ring_angle(np.arange(_RING))
    round_x, round_z = (np.sign(f) * np.abs(f) ** 0.85 for f in (np.cos(theta), -np.sin(theta)))
    rings = (
        center[:, None]
        + (wide[:, None] * round_x)[..., None] * lateral[:, None]
        + (deep[:, None] * round_z)[..., None] * fore[:, None]
    )
    facets.add(rings, _trunk_colours(look, t, wide))


_RING = 48
"""Corners of a ring around the trunk."""


def _ring_angle(corner: np.ndarray) -> np.ndarray:
    """Angle of a (fractional) corner: twice as dense in front and behind, where the seams are."""
    even = corner * (2 * np.pi / _RING)
    return even + 0.25 * np.sin(2 * even)


def _trunk_colours(look: Look, t: np.ndarray, wide: np.ndarray, fine: int = 3) -> np.ndarray:
    """Facet colours averaged over ``fine``² places each, so that seams are not saw-toothed."""
    steps = (np.arange(fine) + 0.5) / fine
    heights = (t[:-1, None] + steps * (t[1] - t[0])).ravel()
    angles = _ring_angle((np.arange(_RING)[:, None] + steps).ravel())
    x = np.interp(heights, t, wide)[:, None] * np.abs(np.cos(angles))
    front = np.broadcast_to(np.sin(angles) < 0, x.shape)
    colours = top_colours(look, x, np.broadcast_to(heights[:, None], x.shape), front)
    return colours.reshape(len(t) - 1, fine, _RING, fine, 3).mean((1, 3))


def _arms(facets: Facets, figure: Figure, look: Look) -> None:
    girth = 0.5 + 0.5 * figure.body.girth
    for side, name in SIDES.items():
        shoulder, elbow, wrist = (
            figure.joint(f"{name}_{part}") for part in ("shoulder", "elbow", "wrist")
        )
        loose = 0.02 if look.sleeve > 1 else 0.0
        upper = [(t, r * girth + loose) for t, r in ((0, 0.185), (0.4, 0.175), (1, 0.145))]
        lower = [(t, r * girth + loose) for t, r in ((0, 0.145), (0.25, 0.15), (1, 0.1))]
        cloth = look.accent if look.sleeves_differ and side > 0 else look.cloth
        for base, start, end, profile in ((0, shoulder, elbow, upper), (1, elbow, wrist, lower)):
            colours = _creased(_sleeve(look, cloth, base), 1 - base)
            add_tube(facets, start, end, profile, colours, segments=16)
        frame = figure.forearm[side]
        palm = wrist + frame @ np.array([0, -0.16, 0.02])
        add_tube(facets, wrist, palm, [(0, 0.1), (1, 0.115)], bands((9, look.skin)), segments=10)
        fingers = palm + frame @ np.array([-0.02 * side, -0.2, 0.06])
        add_tube(facets, palm, fingers, [(0, 0.1), (1, 0.06)], bands((9, look.skin)), segments=10)
        thumb = palm + frame @ np.array([-0.1 * side, -0.02, 0.1])
        add_tube(facets, palm, thumb, [(0, 0.05), (1, 0.035)], bands((9, look.skin)), segments=8)


def _sleeve(look: Look, cloth: np.ndarray, base: int) -> Callable[[np.ndarray], np.ndarray]:
    """Colours along an upper arm (``base`` 0) or forearm (1)."""

    def colours(fraction: np.ndarray) -> np.ndarray:
        along = (fraction + base)[:, None]
        striped = (look.top == "stripes") & (np.floor(along * 7) % 2 == 0)
        return np.where(along > look.sleeve, look.skin, np.where(striped, look.accent, cloth))

    return colours


_HAIRLINE = ((0, 40, 70, 95, 112, 180), (0.52, 0.46, 0.2, -0.05, -0.5, -0.74))
"""Lowest latitude (sine) that hair covers, by angle from the nose in degrees."""


_HEAD_CENTER = np.array([0, 0.52, 0.03])
_HEAD_RADII = 0.36, 0.49, 0.41
_NOSE = np.array([0, -0.08, _HEAD_RADII[2] * 0.98])


def _ear(side: int) -> np.ndarray:
    return np.array([side * _HEAD_RADII[0] * 1.02, -0.02, -0.03])


def face(figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """(5, 3) nose, eyes and ears, left before right, and (5,) whether each is on the seen side."""
    radii, eye = np.array(_HEAD_RADII), np.array([0.145, 0.03])
    depth = radii[2] * np.sqrt(1 - ((eye / radii[:2]) ** 2).sum())
    eyes = [np.array([side * eye[0], eye[1], depth]) for side in (1, -1)]
    local = np.array([_NOSE, *eyes, _ear(1), _ear(-1)])
    outwards = local / radii**2
    center = figure.joint("upper_neck") + figure.head @ _HEAD_CENTER
    return center + local @ figure.head.T, (outwards @ figure.head.T)[:, 2] > 0


def _head(facets: Facets, figure: Figure, look: Look) -> None:
    frame, neck, thorax = figure.head, figure.joint("upper_neck"), figure.joint("thorax")
    add_tube(facets, thorax, neck + frame @ np.array([0, 0.22, -0.04]),
          [(0, 0.2), (0.5, 0.17), (1, 0.17)], bands((9, look.skin * 0.93)))  # fmt: skip
    center = neck + frame @ _HEAD_CENTER
    wide, high, deep = _HEAD_RADII
    sine = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 19))[:, None]
    cosine = np.sqrt(np.maximum(0, 1 - sine**2)) * (1 - 0.2 * np.clip(-sine, 0, 1) ** 1.5)
    theta = np.linspace(0, 2 * np.pi, 32, endpoint=False)

    def has_hair(at_theta: np.ndarray) -> np.ndarray:
        from_nose = np.abs((np.rad2deg(at_theta) + 90 + 180) % 360 - 180)
        return np.interp(from_nose, *_HAIRLINE)

    swell = np.where((sine > has_hair(theta)) & (look.hair_style != "bald"), 1.06, 1.0)
    local = np.stack(
        [
            wide * cosine * np.cos(theta) * swell,
            high * sine * np.minimum(swell, 1.03),
            -deep * cosine * np.sin(theta) * swell,
        ],
        axis=-1,
    )
    middle_sine = 0.5 * (sine[1:] + sine[:-1])
    middle = theta + np.pi / len(theta)
    colours = np.broadcast_to(look.skin, (18, 32, 3)).copy()
    front = np.broadcast_to(np.sin(middle) < -0.1, (18, 32))
    if look.beard:
        colours[front & (middle_sine < -0.35)] = look.hair
    if look.hair_style != "bald":
        hairy = middle_sine > has_hair(middle)
        colours[hairy] = look.hair
        if look.hair_style == "cap":
            colours[np.broadcast_to(middle_sine > 0.3, hairy.shape)] = look.accent
    facets.add(center + local @ frame.T, colours, 0.03)
    for side in SIDES:
        ear = center + frame @ _ear(side)
        if look.hair_style not in ("long", "bob"):
            add_ellipsoid(facets, ear, frame, (0.05, 0.1, 0.07), look.skin * 0.92, shape=(5, 8))
    _hair(facets, center, frame, look)
    _face(facets, center, frame, (wide, high, deep), look)


def _hair(facets: Facets, center: np.ndarray, frame: np.ndarray, look: Look) -> None:
    def blob(place: tuple, radii: tuple, colour: np.ndarray = look.hair) -> None:
        add_ellipsoid(
            facets, center + frame @ np.array(place), frame, radii, colour, shape=(10, 18)
        )

    if look.hair_style == "long":
        blob((0, -0.32, -0.24), (0.38, 0.66, 0.2))
    elif look.hair_style == "bob":
        blob((0, -0.16, -0.16), (0.41, 0.42, 0.26))
    elif look.hair_style == "bun":
        blob((0, 0.32, -0.4), (0.17, 0.17, 0.17))
    elif look.hair_style == "cap":
        blob((0, 0.2, 0.42), (0.27, 0.035, 0.26), look.accent * 0.7)


def _face(facets: Facets, center: np.ndarray, frame: np.ndarray, radii: tuple, look: Look) -> None:
    """Features laid on the front of the head, larger than life so that small crops show them."""
    wide, high, deep = radii
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)

    def mark(x: float, y: float, half: tuple[float, float], colour: np.ndarray, lift: int) -> None:
        xy = np.array([x, y]) + unit * half
        z = deep * np.sqrt(np.maximum(0.05, 1 - (xy[:, 0] / wide) ** 2 - (xy[:, 1] / high) ** 2))
        local = np.column_stack([xy, z + 0.02])
        facets.add_quad(center + local @ frame.T, colour, 0.06 + 0.02 * lift)

    white, iris = np.array([240.0, 240, 240]), np.array([30.0, 24, 20])
    brow = look.hair * 0.8 if look.hair.mean() < 140 else look.hair * 0.55
    for side in SIDES:
        if look.glasses:
            mark(side * 0.145, 0.03, (0.13, 0.095), iris, 0)
        mark(side * 0.145, 0.03, (0.09, 0.055), white, 1)
        mark(side * 0.145, 0.03, (0.042, 0.055), iris, 2)
        mark(side * 0.145, 0.135, (0.1, 0.024), brow, 1)
    mark(0, -0.265, (0.12, 0.04), np.array([70.0, 60, 165]) * (0.5 + look.skin[2] / 500), 1)
    nose = center + frame @ _NOSE
    add_ellipsoid(facets, nose, frame, (0.06, 0.11, 0.07), look.skin * 0.88, bias=0.1, shape=(5, 8))
