"""What a recipe is made of, as frozen dataclasses without Paddle, for every folder to read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

DECODERS = ("argmax", "quarter_offset", "quarter_offset_per_axis", "dark")
"""How heat maps become positions (codecs/heatmap.py)."""
ENGINES = ("auto", "eager", "onednn", "openvino")
"""What runs a network that is evaluated (engine.py); ``auto`` is decided there."""
PRECISIONS = ("float32", "bfloat16")
"""What an evaluated network computes in."""
HALF = ("float16", "bfloat16")
"""Number types of mixed precision."""
SCORE_RULES = ("product", "alphapose", "alphapose_demo")
"""How boxes' and joints' scores become a pose's (OksProtocol.score)."""
SPATIAL_MODES = ("person_centric", "standard", "standard_with_fixed_aspect_ratio")
WHOLE_MODES = ("adjust", "pad", "stretch", "height")
"""How whole pictures become inputs, to train on and to be tested."""
INSTANCES = ("primary", "secondary")
"""Whose pose of a box: its owner's, the second's; at their numbers in ``Poses.instances``."""


@dataclass(frozen=True)
class DataSettings:
    """Which data set, and how a person becomes a crop.

    Attributes:
        dataset: ``mpii``, ``coco``, ``crowdpose``, ``ochuman`` or ``halpe``: the loader.
        skeleton: joint set, a name in ``paddle_pose.skeletons``; ``from_file`` reads the COCO
            category of the annotation file.
        image_size_wh: network input, pixels.
        train_split, val_split: as the data set's files call them.
        limit: use only the first N people of each split; None for all.
        rgb_mean, rgb_std: subtracted and divided after scaling to [0, 1].
        channel_order: ``rgb``, or ``bgr`` for networks that were trained on OpenCV's order: they
            get blue first, and its first mean and deviation are taken from ``rgb_mean[0]`` on.
        reduced_decoding: decode JPEGs of training at 1/2, 1/4 or 1/8 where the crop is shrunk at
            least so much; never in evaluation. Averages pixels where the published pipeline skips
            them: crops of five MPII photos change by 1.4 of 255 in the mean at 1/2, 3.1 at 1/4.
        flip_pairs, limbs, sigmas: pairs of joints, by name or place from 0, and OKS constants, in
            place of what the file says. ``[]``: there are none. With ``skeleton: from_file``.
        area: of the truth of COCO files, for OKS: ``file``, its ``area`` and the box's where it is
            lacking; ``box``; or a fraction of the box (CrowdPose: 0.53).
        rules: ``hrnet`` or ``alphapose``, for people, boxes and unseen joints (data/halpe.py);
            ``auto``: AlphaPose's for Halpe, HRNet's for the others.
        repeat: how often each person is in an epoch of training.
        join: other people beside, one of ``joins.JOINS``.
    """

    dataset: str = "mpii"
    skeleton: str = "mpii16"
    image_size_wh: tuple[int, int] = (256, 256)
    train_split: str = "train"
    val_split: str = "valid"
    limit: int | None = None
    rgb_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    rgb_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channel_order: str = "rgb"
    reduced_decoding: bool = False
    flip_pairs: tuple[Any, ...] | None = None
    sigmas: tuple[float, ...] | None = None
    limbs: tuple[Any, ...] | None = None
    area: Any = "file"
    rules: str = "auto"
    repeat: int = 1
    join: str = "none"


def by_alphapose(data: DataSettings) -> bool:
    """Whether AlphaPose's rules hold; no property, as alignment digests would miss that."""
    return data.rules == "alphapose" or (data.rules == "auto" and data.dataset == "halpe")


@dataclass(frozen=True)
class SpatialSettings:
    """How a whole picture becomes an input to train on; turned and mirrored as crops are.

    Attributes:
        mode: one of SPATIAL_MODES: main person in the middle, picture fits in, is stretched.
        person_size: height of a person in the middle, of the input's.
        shift_px: moved by up to so many whole pixels of the picture, uniformly.
        zoom_probability: that ``zoom`` is drawn: people in the middle smaller, pictures larger.
        flip_vertical_probability: upside down.
    """

    mode: str = "person_centric"
    person_size: float = 0.6
    shift_px: int = 40
    zoom_probability: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip_vertical_probability: float = 0.0


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of a training crop; the defaults are HRNet's for MPII.

    Attributes:
        distribution: ``normal`` (HRNet), ``uniform`` (Newell), ``truncated`` to ±1 (mmpose 1.x).
        scale_factor: scale × clip(1 + f·normal, 1 - f, 1 + f), or × uniform(1 - f, 1 + f).
        rotation_deg, rotation_probability: clip(r·normal, -2r, 2r) or uniform(-r, r); else 0.
        flip_probability: mirror, with left and right joints swapped.
        half_body_probability: crop the upper or lower body instead ...
        half_body_min_joints: ... of people with more than this many visible joints.
        shift_factor: move the crop centre by f·normal of its size (clipped at 2f), with ...
        shift_probability: ... this chance.
        color_jitter: each channel × uniform(1 - c, 1 + c); 0 in HRNet.
        pixels: after the cut: ``coarse_dropout`` ... (``data.pixels.PIXEL_CHANGES``).
        dpg: jitter the box as a detector might have it, before all else (AlphaPose's DPG).
        spatial: of whole pictures, in place of crops.
    """

    distribution: str = "normal"
    scale_factor: float = 0.25
    rotation_deg: float = 30.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    half_body_probability: float = 0.0
    half_body_min_joints: int = 8
    shift_factor: float = 0.0
    shift_probability: float = 1.0
    color_jitter: float = 0.0
    pixels: str = "none"
    dpg: bool = False
    spatial: SpatialSettings | None = None


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are trained otherwise than the rest; the first group that matches counts.

    Attributes:
        pattern: of their names, as a shell has it: ``backbone.*``, ``*.bias``.
        rate: × the learning rate; 0 leaves them as they are.
        decay: × ``l2`` or ``l1``.
    """

    pattern: str
    rate: float = 1.0
    decay: float = 1.0


@dataclass(frozen=True)
class Adam:
    """Adam as torch.optim.Adam.

    Attributes:
        beta1, beta2, epsilon: of Kingma & Ba 2015.
        l2: × the weight, added to its gradient (no AdamW); 0 for none.
        l1: × the weight's sign, instead; 0 for none.
        groups: what differs for some parameters.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    l2: float = 0.0
    l1: float = 0.0
    groups: tuple[ParameterGroup, ...] = ()


@dataclass(frozen=True)
class Momentum:
    """Gradient descent as torch.optim.SGD, without dampening; ``l2`` … ``groups`` as in Adam."""

    momentum: float = 0.9
    nesterov: bool = False
    l2: float = 0.0
    l1: float = 0.0
    groups: tuple[ParameterGroup, ...] = ()


@dataclass(frozen=True)
class RMSprop:
    """As torch.optim.RMSprop, not centred, without momentum; ``l2`` … ``groups`` as in Adam."""

    alpha: float = 0.99
    epsilon: float = 1e-8
    l2: float = 0.0
    l1: float = 0.0
    groups: tuple[ParameterGroup, ...] = ()


Optimizer = Adam | Momentum | RMSprop


@dataclass(frozen=True)
class Stage:
    """Other values from an epoch on; the optimiser keeps its moments.

    Attributes:
        epoch: the first one, from 0.
        changes: key → value: ``train.learning_rate``, a key of the schedule, or ``augment.…``.
        restart: the schedule counts steps and epochs from here, its warm-up and milestones too;
            a cosine or one-cycle schedule then runs from here to the end of the run.
    """

    epoch: int
    changes: dict[str, Any] = field(default_factory=dict)
    restart: bool = False


@dataclass(frozen=True)
class FocalSettings:
    """Of ``masked_focal``: see ``training.field_losses.focal_weights``."""

    alpha: float = 0.1
    beta: float = 0.02
    background: float = 0.01
    gamma: float = 1.0


@dataclass(frozen=True)
class TrainSettings:
    """How the network is trained.

    Attributes:
        epochs, batch_size: of the whole run; ``batch_size`` people per step in all.
        learning_rate: at its highest.
        scale_learning_rate: ``none``, or ``linear``: × batch_size / base_batch_size. No number of
            devices ever changes the rate by itself.
        base_batch_size: the batch that ``learning_rate`` was chosen for; needed for ``linear``.
        accumulate_steps: the passes in which an update's ``batch_size`` people are taken, to save
            memory. A step stays one update of the whole batch, with its gradient; batch norm and
            the count in ``cell_cross_entropy`` see the people of one pass on one device.
        sync_batch_norm: batch norm over the people of all devices (in one pass).
        ema_decay: weight of the past in a moving average of the weights, which is then what is
            validated and kept as best; 0 for none.
        amp: mixed precision: ``none``, ``O1`` or ``O2`` on a GPU; O1 in bfloat16 on a CPU.
        amp_dtype: ``float16`` (with loss scaling) or ``bfloat16``; unused without ``amp``.
        schedule: ``multistep``, ``one_cycle``, ``cosine`` or ``soft_start_annealing``.
        milestones: epochs (from 0) at which the rate is multiplied by ``gamma`` (multistep).
        gamma: see milestones.
        warmup_steps: linear warm-up from ``warmup_factor`` of the rate over so many steps.
        warmup_factor: see warmup_steps.
        soft_start: part of the run in which the rate rises, by equal factors a step, from
            ``min_learning_rate``; after ``annealing`` of it, it falls back (soft_start_annealing).
        optimizer: ``Adam``, ``Momentum`` or ``RMSprop``, with decay and groups of parameters.
        clip_norm: largest global gradient norm; 0 for no clipping.
        loss: ``joints_mse`` (HRNet: weighted, 0.5 ×, summed over stacks), ``heatmap_mse``
            (Newell: plain, mean over stacks), ``cell_cross_entropy`` (of logits, unpublished) or
            ``two_people_mse`` (MIPNet: both people of a box), or ``two_people_cross_entropy``;
            ``integral_l1`` and ``combined`` (AlphaPose, maps by joints_mse); ``masked_squares``
            (BodyPoseNet: sums) or ``masked_focal``; ``maps_and_visibility`` (joints_mse and more).
        use_target_weight: weigh missing joints with 0.
        drop_last: leave out the last, short batch of an epoch.
        validate_every: epochs between validations; the last epoch is always validated.
        log_every: steps between log lines.
        save_every: steps between resumable checkpoints within an epoch; 0 for epoch ends only.
        keep_every: epochs between weights that are kept beside best and last; 0 for none.
        select_metric: validation score that chooses the best model.
        pretrained: what the published run began from, ``none``, ``ImageNet``, ``COCO`` or
            ``OpenImages``; a run that starts without says so.
        max_steps: the run ends after so many steps, validated or not, and says how many images a
            second it took; 0 for none.
    """

    epochs: int = 210
    batch_size: int = 32
    learning_rate: float = 1e-3
    scale_learning_rate: str = "none"
    base_batch_size: int = 0
    accumulate_steps: int = 1
    sync_batch_norm: bool = False
    ema_decay: float = 0.0
    amp: str = "none"
    amp_dtype: str = "float16"
    schedule: str = "multistep"
    milestones: tuple[int, ...] = (170, 200)
    gamma: float = 0.1
    warmup_steps: int = 0
    warmup_factor: float = 0.001
    soft_start: float = 0.05
    annealing: float = 0.5
    min_learning_rate: float = 8e-8
    optimizer: Optimizer = Adam()
    clip_norm: float = 0.0
    loss: str = "joints_mse"
    focal: FocalSettings = FocalSettings()
    use_target_weight: bool = True
    drop_last: bool = False
    validate_every: int = 1
    log_every: int = 50
    save_every: int = 200
    keep_every: int = 0
    select_metric: str = "Mean"
    pretrained: str = "none"
    max_steps: int = 0


@dataclass(frozen=True)
class EvalSettings:
    """How predictions are made and scored, apart from the protocol (see Benchmark).

    Attributes:
        batch_size: people at a time.
        bootstrap: resamples for the 95 % intervals; 0 for none.
    """

    batch_size: int = 32
    bootstrap: int = 1000


@dataclass(frozen=True)
class PckhProtocol:
    """PCKh of people whose head sizes are known (MPII).

    Attributes:
        thresholds: in head sizes, each with a mean of its own; groups are always at 0.5.
        joints: of ``Mean``, 14 or 16 (Newell).
    """

    thresholds: tuple[float, ...] = (0.5, 0.1, 0.11)
    joints: int = 14


@dataclass(frozen=True)
class OksProtocol:
    """Average precision over object keypoint similarity (COCO).

    Attributes:
        oks_nms: OKS above which the lower of two poses of an image is left out; 0 for none.
        soft_oks_nms: lower and re-order scores instead of leaving poses out.
        rescore: score = box score × mean keypoint score above ``rescore_threshold``.
        rescore_threshold: see rescore.
        box_threshold: detector boxes with a lower score are left out.
        second_score: × the score of a box for its second person's pose.
        score: of a pose, before ``rescore``: ``product``, that of its box; ``alphapose``, mean +
            1.25 × largest of its joints' + its detector's box's; ``alphapose_demo``, + any box's.
    """

    oks_nms: float = 0.0
    soft_oks_nms: bool = False
    rescore: bool = False
    rescore_threshold: float = 0.2
    box_threshold: float = 0.0
    second_score: float = 0.5
    score: str = "product"


Metric = PckhProtocol | OksProtocol


@dataclass(frozen=True)
class WholeImage:
    """Pictures that a network sees whole, at each of ``test_scales``; nobody says who is where.

    Attributes:
        size_hw: of the network's input, at scale 1.
        mode: ``adjust``: one side has that size, the other at least; ``pad``: grey makes the
            picture so wide for its height; ``stretch``: it is made so; ``height``: so high, grey.
        coordinates: ``exact``, or ``reference``: whole pixels, cut off, as NVIDIA's evaluation.
    """

    size_hw: tuple[int, int] = (368, 368)
    mode: str = "adjust"
    coordinates: str = "exact"


@dataclass(frozen=True)
class Benchmark:
    """One protocol that a number is measured under.

    Attributes:
        name: how tables and ``--benchmark`` call it.
        boxes: ``ground_truth`` or ``detector``, never implied; or ``none``, with ``whole``.
        flip_test: average with the mirrored image.
        shift_heatmap: move the mirrored heat map by one cell before averaging.
        test_scales: crop sizes, relative to the person's, whose heat maps are averaged; HRNet's
            paper tests MPII's test set with six.
        decoder: ``quarter_offset`` (HRNet); all of ``HeatmapCodec.cells``, ``OffsetCodec.cells``.
        metric: how poses are scored, by the kind of score.
        whole: how whole pictures are seen by a network that finds everybody in them.
        published: metric name → published value under exactly this protocol.
        source: where the published values stand.
    """

    name: str
    boxes: str = "ground_truth"
    flip_test: bool = True
    shift_heatmap: bool = True
    test_scales: tuple[float, ...] = (1.0,)
    decoder: str = "quarter_offset"
    metric: Metric = field(default_factory=PckhProtocol)
    whole: WholeImage | None = None
    published: dict[str, float] = field(default_factory=dict)
    source: str = ""

    def protocol(self) -> dict[str, Any]:
        """What decides about predictions, as JSON, in one level; not how PCKh counts."""
        values = asdict(self)
        del values["published"], values["source"]
        values |= values.pop("metric")
        if self.whole is None:
            del values["whole"]
        values = {k: v for k, v in values.items() if k not in ("thresholds", "joints")}
        return json.loads(json.dumps(values))
