"""From a network's numbers to the network, randomly initialised as its reference does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    Architecture,
    BearpawHourglass,
    BodyPoseNet,
    CaffePoseResNet,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
    Hourglass52,
    HRNet,
    HRNetMore,
    LightOpenPose,
    MIPNet,
    MIPPoseResNet,
    NewellHourglass,
    PoseResNet,
    PoseResNetVisibility,
    Pruned,
)
from paddle_pose.models.bearpaw_hourglass import BearpawHourglassNetwork
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.bodyposenet import BodyPoseNetNetwork
from paddle_pose.models.caffe_resnet import CaffePoseResNetNetwork
from paddle_pose.models.fastpose import (
    AlphaSimplePoseNetwork,
    FastPoseDucNetwork,
    FastPoseMobileNetwork,
    FastPoseNetwork,
)
from paddle_pose.models.hourglass52 import Hourglass52Network
from paddle_pose.models.hrnet import HRNetNetwork
from paddle_pose.models.hrnet_more import HRNetMoreNetwork
from paddle_pose.models.light_openpose import LightOpenPoseNetwork
from paddle_pose.models.mipnet import MIPNetNetwork, MIPPoseResNetNetwork
from paddle_pose.models.newell_hourglass import NewellHourglassNetwork
from paddle_pose.models.pose_resnet import PoseResNetNetwork, PoseResNetVisibilityNetwork
from paddle_pose.models.pruning import narrow

NETWORKS: dict[type, Callable[[Any], PoseNetwork]] = {
    Hourglass52: Hourglass52Network,
    NewellHourglass: NewellHourglassNetwork,
    HRNet: HRNetNetwork,
    PoseResNet: PoseResNetNetwork,
    MIPNet: MIPNetNetwork,
    MIPPoseResNet: MIPPoseResNetNetwork,
    FastPose: FastPoseNetwork,
    FastPoseDuc: FastPoseDucNetwork,
    FastPoseMobile: FastPoseMobileNetwork,
    AlphaSimplePose: AlphaSimplePoseNetwork,
    BodyPoseNet: BodyPoseNetNetwork,
    CaffePoseResNet: CaffePoseResNetNetwork,
    HRNetMore: HRNetMoreNetwork,
    PoseResNetVisibility: PoseResNetVisibilityNetwork,
    LightOpenPose: LightOpenPoseNetwork,
    BearpawHourglass: BearpawHourglassNetwork,
}


def build(architecture: Architecture) -> PoseNetwork:
    """The network that these numbers describe; Raises UserError for numbers of another kind."""
    if isinstance(architecture, Pruned):
        network = build(architecture.of)
        narrow(network, architecture.filters)
        return network
    if type(architecture) not in NETWORKS:
        raise UserError(f"model: no network is known for {type(architecture).__name__}; give it")
    return NETWORKS[type(architecture)](architecture)
