"""Heat maps over the crop they are of."""

from __future__ import annotations

import numpy as np

from paddle_pose.inference.people import draw_maps
from paddle_pose.skeletons import MPII16


def test_a_map_is_red_at_its_largest_value_and_clear_where_it_is_0():
    crop = np.full((64, 64, 3), 100, np.uint8)
    maps = np.zeros((16, 64, 64), np.float32)
    maps[0, 32, 32] = 0.3
    drawn = draw_maps(crop, maps, MPII16)
    first = drawn[26 : 26 + 64, 4 : 4 + 64]  # behind the gap and its caption
    # 30 % of the crop's 100 and 70 % of JET's dark red, (128, 0, 0).
    assert first[32, 32].tolist() == [119, 30, 30]
    first[32, 32] = 100
    assert (first == 100).all()
    assert (drawn[26 : 26 + 64, 4 + 68 : 4 + 68 + 64] == 100).all()
