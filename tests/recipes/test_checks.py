"""Values that no run can have are refused by key before any work."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace

import paddle
import pytest

from paddle_pose import configs
from paddle_pose.data.augment import DISTRIBUTIONS
from paddle_pose.data.pixels import PIXEL_CHANGES
from paddle_pose.errors import LONGEST_LINE, UserError
from paddle_pose.models.architectures import parameters_about
from paddle_pose.models.build import build
from paddle_pose.models.counting import count_parameters
from paddle_pose.recipes import checks as limits
from paddle_pose.recipes import recipe as recipes
from paddle_pose.training.schedules import SCHEDULES

GROUP, STAGE = "groups=[{pattern: '*', ", "stages=[{epoch: 9, changes: {"


@pytest.mark.parametrize("name", configs.all_names())
def test_every_recipe_is_sound(name):
    limits.require_sound(configs.load(name))


@pytest.mark.parametrize(
    ("assignment", "key"),
    [
        ("seed=-1", "seed"),
        ("train.epochs=0", "train.epochs"),
        ("train.batch_size=0", "train.batch_size"),
        ("train.accumulate_steps=0", "train.accumulate_steps"),
        ("train.scale_learning_rate=liner", "did you mean 'linear'"),
        ("train.scale_learning_rate=linear", "train.base_batch_size"),
        ("train.base_batch_size=32", "train.scale_learning_rate=linear"),
        ("train.ema_decay=1", "train.ema_decay"),
        ("train.amp=o1", "did you mean 'O1'"),
        ("train.amp_dtype=float32", "did you mean 'float16'"),
        ("eval.batch_size=0", "eval.batch_size"),
        ("eval.bootstrap=-1", "eval.bootstrap"),
        ("data.limit=0", "data.limit"),
        ("benchmarks.0.test_scales=[1.0, 0]", "benchmarks.0.test_scales.1"),
        ("benchmarks.0.metric.thresholds=[0.5, -1]", "benchmarks.0.metric.thresholds.1"),
        ("model.stacks=0", "model.stacks"),
        ("codec.stride=7", "codec.stride"),
        ("codec.sigma_px=0", "codec.sigma_px"),
        ("codec.sigma_px=1e9", "codec.sigma_px"),
        ("train.learning_rate=-1", "train.learning_rate"),
        ("train.learning_rate=.nan", "train.learning_rate"),
        ("train.warmup_factor=-3", "train.warmup_factor"),
        ("train.optimizer.l2=-1", "train.optimizer.l2"),
        ("train.optimizer.l1=.nan", "train.optimizer.l1"),
        ("train.optimizer={kind: Adam, l1: 1, l2: 1}", "exclude each other"),
        ("train.optimizer.beta2=1", "train.optimizer.beta2"),
        ("train.optimizer.epsilon=0", "train.optimizer.epsilon"),
        ("train.optimizer={kind: Momentum, momentum: 1}", "train.optimizer.momentum"),
        (f"train.optimizer.{GROUP}rate: -1}}]", r"train.optimizer.groups.0.rate"),
        (f"train.optimizer.{GROUP}decay: .inf}}]", r"train.optimizer.groups.0.decay"),
        ("train.schedule=cosin", "did you mean 'cosine'"),
        ("augment.distribution=norml", "did you mean 'normal'"),
        ("stages=[{epoch: 0}]", r"stages.0.epoch: must be above 0 and below train.epochs=210"),
        ("stages=[{epoch: 210}]", r"stages.0.epoch"),
        ("stages=[{epoch: 5}, {epoch: 5}]", r"stages.1.epoch: must be above 5"),
        (f"{STAGE}train.batch_size: 4}}}}]", "no stage changes 'train.batch_size'"),
        (f"{STAGE}train.milestone: [4]}}}}]", "did you mean 'train.milestones'"),
        (f"{STAGE}data.limit: 4}}}}]", "no stage changes 'data.limit'"),
        (f"{STAGE}train.gamma: x}}}}]", r"stages.0.changes: train.gamma: expected float"),
        (f"{STAGE}train.learning_rate: 0}}}}]", r"stages.0: train.learning_rate"),
        (f"{STAGE}train.schedule: cosin}}}}]", r"stages.0: train.schedule: .*'cosine'"),
        (f"{STAGE}augment.scale_factor: -1}}}}]", r"stages.0: augment.scale_factor"),
        ("augment.rotation_deg=-20", "augment.rotation_deg"),
        ("codec.sigma_px=.nan", "codec.sigma_px"),
        ("codec.maps=heatmap", "did you mean 'heatmaps'"),
        ("codec.maps=logits", "belong together"),
        ("data.image_size_wh=[0,0]", "data.image_size_wh"),
        ("data.channel_order=brg", "data.channel_order"),
        ("benchmarks=[]", "benchmarks"),
        ("benchmarks.0.decoder=darkk", "did you mean 'dark'"),
        ("codec={kind: IntegralCodec, norm: sigmod}", "codec.norm: .* did you mean 'sigmoid'"),
        ("codec={kind: CombinedCodec}", "combined and CombinedCodec belong together"),
        ("train.loss=integral_l1", "integral_l1 and IntegralCodec belong together"),
    ],
)
def test_impossible_values_name_their_key(assignment, key):
    recipe = recipes.override(configs.load(), [assignment])
    with pytest.raises(UserError, match=key):
        limits.require_sound(recipe)


ABSURD = {
    "hourglass:newell_hg2_mpii_256x256": (
        "model.features=1000000", "model.stem=1000000", "model.depth=1000000", "model.stacks=1e3",
        "model.depth=1000000000000000000", "model.joints=100000", "seed=99999999999999999999",
        "eval.bootstrap=1000000000000000000", "train.learning_rate=1e40", "train.epochs=10000000",
        "train.batch_size=10000000", "train.gamma=.nan", "train.gamma=-1", "train.gamma=.inf",
        "augment.flip_probability=-1", "augment.flip_probability=2", "augment.shift_factor=.inf",
        "augment.half_body_probability=.nan", "augment.rotation_probability=-.inf",
        "augment.color_jitter=-1", "codec.sigma_px=1e-308", "model.features=1",
        "augment.color_jitter=1e18", "augment.scale_factor=1",
        "augment.rotation_deg=1e308", "augment.half_body_min_joints=-1", "data.rgb_std=[0,0,0]",
        "data.rgb_std=[1,1,-1]", "data.rgb_std=[1,1,.inf]", "data.rgb_mean=[123.675,116.28,103.53]",
        "data.image_size_wh=[100000,100000]", "data.image_size_wh=[32,8192]",
        "benchmarks.0.test_scales=[]", "benchmarks.0.test_scales=[.nan,1,1]",
        "benchmarks.0.test_scales=[1e308]", "benchmarks.0.metric.thresholds=[]",
        "benchmarks.0.metric.joints=15",
        "benchmarks.0.metric.thresholds=[.nan]", "benchmarks.0.boxes=detected",
        "benchmarks.0.published={Mean: .nan}", "train.milestones=[5,3]", "train.milestones=[5,5]",
        "train.optimizer={kind: Adam, beta1: .nan}", "train.clip_norm=.inf", "codec.stride=0",
        "train.learning_rate=1" + "0" * 400, "benchmarks=[{name: a}, {name: a}]",
        "stages=[{epoch: 9, changes: {augment.color_jitter: 2}}]",
        "stages=[{epoch: 9, changes: {train.milestones: [9, 1]}}]",
    ),
    "hrnet:w32_coco_256x192": (
        "model.width=1000000", "benchmarks.0.metric.oks_nms=2", "data.image_size_wh=[4096,0]",
        "benchmarks.0.metric.box_threshold=.nan", "benchmarks.0.metric.rescore_threshold=-1",
        "benchmarks.0.metric.score=alphapos",
    ),
    "simple_baseline:res50_mpii_256x256": ("model.layers=51", "model.layers=1000000"),
    "hourglass:hourglass52_mpii_256x256": ("model.stacks=64", "data.train_split=../../x"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "assignment"), [(name, one) for name, all_of in ABSURD.items() for one in all_of]
)
def test_absurd_values_are_a_line_at_once(name, assignment):
    with pytest.raises(UserError) as error:
        configs.chosen(name, None, [assignment])
    assert len(str(error.value)) <= LONGEST_LINE
    assert assignment.partition(".")[0].partition("=")[0] in str(error.value)


def numbers_of(kind: type, key: str = "") -> Iterator[str]:
    """Keys of all numbers of a dataclass, of every kind that a section may have."""
    for name, hint in typing.get_type_hints(kind).items():
        full = f"{key}{name}"
        if full == "model.of":  # a whole network, checked as one
            continue
        kinds = recipes.KINDS.get(full, ())
        for one in (hint, *typing.get_args(hint), *kinds):
            if dataclasses.is_dataclass(one):
                many = ".*" if typing.get_origin(hint) is tuple else ""
                yield from numbers_of(one, f"{full}{many}.")
            elif one in (int, float):
                many = ".*" if typing.get_origin(hint) in (tuple, dict) else ""
                yield f"{full}{many}"


def test_every_number_of_a_recipe_has_a_range():
    keys = [key for _, words in limits.RANGES for key in words.split()]
    assert len(keys) == len(set(keys))
    assert set(numbers_of(recipes.Recipe)) == set(keys)


def test_ranges_hold_their_ends_and_no_nan():
    for allowed, _ in limits.RANGES:
        assert allowed.holds(allowed.least) != allowed.above
        assert allowed.holds(allowed.most) != allowed.below
        wrong = (float("nan"), float("inf"), -float("inf"), True, "1", None, [1], allowed.least - 1)
        assert not any(allowed.holds(value) for value in wrong)


def test_a_name_that_leaves_its_folder_is_refused_however_a_recipe_comes(tmp_path):
    recipe = configs.load()
    for change in (
        lambda: replace(recipe, name="../../x"),
        lambda: replace(recipe, data=replace(recipe.data, val_split="../x")),
        lambda: replace(recipe, benchmarks=(replace(recipe.benchmarks[0], name="/x"),)),
    ):
        with pytest.raises(UserError, match="is not a plain name"):
            change()
    file = tmp_path / "r.yaml"
    for bad in ("../../x", "a/b", "..", "/x"):
        file.write_text(recipes.dump_yaml(recipe).replace(f"name: {recipe.name}", f"name: {bad}"))
        with pytest.raises(UserError, match=r"r\.yaml: name: .* is not a plain name"):
            configs.load(str(file))


@pytest.mark.parametrize(
    "name",
    [
        *(n for n in configs.all_names() if n.endswith(("mpii_256x256", "lspet", "synthetic"))),
    ],
)
def test_parameters_are_estimated_to_a_tenth(name):
    model = configs.load(name).model
    with paddle.LazyGuard():  # shapes alone
        count = count_parameters(build(model))
    assert parameters_about(model) == pytest.approx(count, rel=0.1)


def test_stride_is_whatever_divides_the_image():
    for stride in (2, 8, 16):
        recipe = recipes.override(configs.load(), [f"codec.stride={stride}"])
        limits.require_sound(recipe)
    with pytest.raises(UserError, match=r"at most the map's 16 cells"):
        limits.require_sound(recipes.override(recipe, ["codec.sigma_px=17"]))
    with pytest.raises(UserError, match=r"codec\.stride"):
        limits.require_sound(recipes.override(recipe, ["codec.stride=0"]))


def test_words_are_those_that_the_parts_know():
    assert set(limits.CHOICES["train.schedule"]) == set(SCHEDULES)
    assert limits.CHOICES["augment.distribution"] == DISTRIBUTIONS
    assert limits.CHOICES["augment.pixels"] == PIXEL_CHANGES


@pytest.mark.parametrize(
    ("name", "assignment", "said"),
    [
        ("bodyposenet:vgg19_coco", "train.loss=joints_mse", "needs train.loss=masked_squares"),
        ("bodyposenet:vgg19_coco", "model.initializer=xavie", "did you mean 'xavier'"),
        ("bodyposenet:vgg19_coco", "train.annealing=2", "train.annealing"),
        ("hrnet:w32_coco_256x192", "train.loss=masked_focal", "needs train.loss=joints_mse"),
    ],
)
def test_fields_need_a_network_codec_and_loss_of_their_own(name, assignment, said):
    with pytest.raises(UserError, match=said):
        configs.chosen(name, None, [assignment])


def test_a_codec_of_fields_belongs_to_a_network_of_fields():
    one, other = (
        configs.load(f"{n}") for n in ("bodyposenet:two_stages", "hrnet:w32_coco_256x192")
    )
    mixed = {
        "HRNet has no fields for PafCodec": replace(one, model=other.model),
        "BodyPoseNet needs PafCodec": replace(other, model=one.model),
    }
    for words, recipe in mixed.items():
        with pytest.raises(UserError, match=f"codec.kind=.*: model {words}"):
            limits.require_sound(recipe)


def test_parts_of_others_are_taken_as_they_are():
    @dataclass(frozen=True)
    class Theirs:
        stride: int = 3

    recipe = replace(configs.load(), codec=Theirs(), model=Theirs())
    limits.require_sound(recipe)
    values = recipes.to_dict(recipe)
    assert values["codec"] == values["model"] == {"kind": "Theirs", "stride": 3}
    with pytest.raises(UserError, match=r"codec.kind: unknown 'Theirs'.*HeatmapCodec"):
        recipes.from_dict({**values, "model": recipes.to_dict(configs.load())["model"]})


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("bodyposenet:two_stages", ["augment.spatial.zoom=[2.0,1.0]"], "spatial.zoom: must be a"),
        ("bodyposenet:two_stages", ["train.soft_start=0.6"], "must not be above train.annealing"),
        ("bodyposenet:two_stages", ["train.learning_rate=1e-8"], "above the highest rate, 1e-08"),
        ("bodyposenet:two_stages", ["train.focal.gamma=2"], "train.focal: changes nothing"),
        ("bodyposenet:two_stages", ["benchmarks.0.metric.score=alphapose"], "score=product"),
        ("quickstart:newell_hg1_synthetic", ["augment.spatial={zoom: [1.0, 2.0]}"], "has crops"),
        ("hrnet:w32_coco_256x192", ["train.soft_start=0.1"], "soft_start=0.1: changes nothing"),
        ("hrnet:w32_coco_256x192", ["train.annealing=0.6"], "annealing=0.6: changes nothing"),
        ("fastpose:r50_multi_domain_256x192", ["codec.double_first=137"], "network has 136 joints"),
    ],
)
def test_what_contradicts_or_would_be_ignored_is_refused(name, changes, said):
    with pytest.raises(UserError, match=said):
        limits.require_sound(recipes.override(configs.load(name), changes))
