"""mmpose's own trainings of PoseResNet, two in half precision, three with changed pixels.

Field by field, of configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/{mpii,coco}/res*.py @3b81734
(0.x): Adam 5e-4, a warm-up of 500 steps from a thousandth, × 0.1 at epochs 170 and 200 of 210;
people of 8 devices together; red first; scale 0.5, rotation 40 degrees, flip 0.5; on COCO half
bodies with 0.3 of people with more than 8 joints. mmpose's loss is twice ours, which Adam does not
see but for its epsilon.

mmpose moved 30 % of COCO's crop centres, uniformly by up to 0.2 of the box and once for all epochs,
from its first public commit on (topdown_coco_dataset.py:199 @7672061): no field says that here, so
the COCO recipes test its weights and are not that training. Nor are they that of 1.x, which trained
its COCO rows anew. On MPII, where nothing is moved, one training stands in all editions.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.configs import encodings, hrnet, simple_baseline
from paddle_pose.models.architectures import HRNetMore, PoseResNetVisibility
from paddle_pose.recipes.recipe import Recipe

_MPII = "open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/mpii/resnet_mpii.md @759b39c"
_COCO = "open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/coco/{}_coco.md @759b39c"
_COCO_AIC = (
    "open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/coco/hrnet_coco_aic.md @759b39c"
)
_COCO_0 = (
    "open-mmlab/mmpose configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/coco/{}_coco.md @3b81734"
)


def _trained(base: Recipe, page: str, people: int) -> Recipe:
    """An official recipe with mmpose's training and decoder; ``people`` of a step."""
    coco = base.data.dataset == "coco"
    augment = replace(
        base.augment,
        scale_factor=0.5,
        rotation_deg=40.0,
        half_body_probability=0.3 if coco else 0.0,
        half_body_min_joints=8,
    )
    train = replace(
        base.train,
        batch_size=people,
        epochs=210,
        learning_rate=5e-4,
        milestones=(170, 200),
        warmup_steps=500,
        warmup_factor=0.001,
    )
    benchmark = replace(
        base.benchmarks[0], decoder="quarter_offset_per_axis", published={}, source=page
    )
    return replace(
        base,
        name=f"{base.name}_mmpose",
        data=replace(base.data, channel_order="rgb"),
        augment=augment,
        train=train,
        benchmarks=(benchmark,),
    )


def _half(base: Recipe, page: str) -> Recipe:
    """In half precision with a dynamic loss scale."""
    half = _trained(base, _COCO.format(page), 512)
    return replace(
        half,
        name=f"{base.name}_mmpose_fp16",
        train=replace(half.train, amp="O1", amp_dtype="float16"),
    )


def res50_mpii_256x256_mmpose() -> Recipe:
    """PoseResNet-50, MPII, 256×256, as mmpose trained it.

    Protocol: published PCKh@0.5 / @0.1 88.2 / 28.6, in 2020 88.2 / 32.9.
    Cost: 210 epochs, 512 people a step.
    Source: mmpose res50_mpii_256x256.py @3b81734
    """
    return _trained(simple_baseline.res50_mpii_256x256(), _MPII, 512)


def res50_coco_256x192_mmpose() -> Recipe:
    """PoseResNet-50, COCO val2017, 256×192, as mmpose trained it.

    Protocol: published AP .718 (0.x), .718 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 512 people a step.
    Source: mmpose res50_coco_256x192.py @3b81734
    """
    return _trained(simple_baseline.res50_coco_256x192(), _COCO.format("resnet"), 512)


def res50_coco_384x288_mmpose() -> Recipe:
    """PoseResNet-50, COCO val2017, 384×288, as mmpose trained it.

    Protocol: published AP .731 (0.x), .731 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 512 people a step.
    Source: mmpose res50_coco_384x288.py @3b81734
    """
    return _trained(simple_baseline.res50_coco_384x288(), _COCO.format("resnet"), 512)


def res101_mpii_256x256_mmpose() -> Recipe:
    """PoseResNet-101, MPII, 256×256, as mmpose trained it.

    Protocol: published PCKh@0.5 / @0.1 88.8 / 29.0, in 2020 88.7 / 33.3.
    Cost: 210 epochs, 512 people a step.
    Source: mmpose res101_mpii_256x256.py @3b81734
    """
    return _trained(simple_baseline.res101_mpii_256x256(), _MPII, 512)


def res101_coco_256x192_mmpose() -> Recipe:
    """PoseResNet-101, COCO val2017, 256×192, as mmpose trained it.

    Protocol: published AP .726 (0.x), .728 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 512 people a step.
    Source: mmpose res101_coco_256x192.py @3b81734
    """
    return _trained(simple_baseline.res101_coco_256x192(), _COCO.format("resnet"), 512)


def res101_coco_384x288_mmpose() -> Recipe:
    """PoseResNet-101, COCO val2017, 384×288, as mmpose trained it.

    Protocol: published AP .748 (0.x), .749 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 256 people a step.
    Source: mmpose res101_coco_384x288.py @3b81734
    """
    return _trained(simple_baseline.res101_coco_384x288(), _COCO.format("resnet"), 256)


def res152_mpii_256x256_mmpose() -> Recipe:
    """PoseResNet-152, MPII, 256×256, as mmpose trained it.

    Protocol: published PCKh@0.5 / @0.1 88.9 / 30.3, in 2020 89.0 / 34.7.
    Cost: 210 epochs, 256 people a step.
    Source: mmpose res152_mpii_256x256.py @3b81734
    """
    return _trained(simple_baseline.res152_mpii_256x256(), _MPII, 256)


def res152_coco_256x192_mmpose() -> Recipe:
    """PoseResNet-152, COCO val2017, 256×192, as mmpose trained it.

    Protocol: published AP .735 (0.x), .736 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 256 people a step.
    Source: mmpose res152_coco_256x192.py @3b81734
    """
    return _trained(simple_baseline.res152_coco_256x192(), _COCO.format("resnet"), 256)


def res152_coco_384x288_mmpose() -> Recipe:
    """PoseResNet-152, COCO val2017, 384×288, as mmpose trained it.

    Protocol: published AP .750 (0.x), .750 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 256 people a step.
    Source: mmpose res152_coco_384x288.py @3b81734
    """
    return _trained(simple_baseline.res152_coco_384x288(), _COCO.format("resnet"), 256)


def res50_coco_256x192_mmpose_fp16() -> Recipe:
    """PoseResNet-50, COCO val2017, 256×192, trained by mmpose in half precision.

    Protocol: published AP .717 (0.x), .716 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 512 people a step.
    Source: mmpose res50_coco_256x192_fp16_dynamic.py @3b81734 (fp16: dynamic loss scale)
    """
    return _half(simple_baseline.res50_coco_256x192(), "resnet_fp16")


def w32_coco_256x192_mmpose_fp16() -> Recipe:
    """HRNet-W32, COCO val2017, 256×192, trained by mmpose in half precision.

    Protocol: published AP .746 (0.x), .749 (1.x), a detector's boxes and flip.
    Cost: 210 epochs, 512 people a step.
    Source: mmpose hrnet_w32_coco_256x192_fp16_dynamic.py @3b81734 (fp16: dynamic loss scale)
    """
    return _half(hrnet.w32_coco_256x192(), "hrnet_fp16")


def _changed(pixels: str, page: str, now: tuple[float, ...], before: tuple[float, ...]) -> Recipe:
    """HRNet-W32 with a change of pixels, from mmpose's own poses on; both editions' numbers.

    In March 2021 the crop's centre also moved uniformly by up to 0.2 of the box, once for all
    epochs, with 0.3 of the people (topdown_coco_dataset.py:244 @0bd81c8); no field says that here.
    """
    base = _trained(hrnet.w32_coco_256x192(), _COCO.format("hrnet_augmentation"), 512)
    scores = ("AP", "AP50", "AP75", "AR", "AR50")
    val = replace(base.benchmarks[0], published=dict(zip(scores, now, strict=True)))
    old = replace(
        val,
        name="coco_val_detector_mmpose0",
        published=dict(zip(scores, before, strict=True)),
        source=_COCO_0.format("hrnet_augmentation"),
    )
    return replace(
        base,
        name=f"w32_coco_256x192_{page}",
        augment=replace(base.augment, pixels=pixels),
        train=replace(base.train, pretrained="COCO"),
        benchmarks=(val, old),
    )


def w32_coco_256x192_coarsedropout() -> Recipe:
    """HRNet-W32, COCO val2017, 256×192, with holes in half of the crops: published AP .753.

    Protocol: a detector's boxes (56.4) and flip; .749 without. It begins from mmpose's W32 of the
    same size, hrnet_w32_coco_256x192-c78dce93_20200708.pth, trained for 210 epochs before.
    Cost: 210 epochs of 149,813 people, 61,530 steps of 512, after as many.
    Source: mmpose hrnet_w32_coco_256x192_coarsedropout.py @3b81734
    """
    now, before = (0.753, 0.908, 0.822, 0.805, 0.944), (0.753, 0.908, 0.822, 0.806, 0.946)
    return _changed("coarse_dropout", "coarsedropout", now, before)


def w32_coco_256x192_gridmask() -> Recipe:
    """HRNet-W32, COCO val2017, 256×192, with a grid of holes: published AP .752.

    Protocol, beginning and cost: as w32_coco_256x192_coarsedropout.
    Source: mmpose hrnet_w32_coco_256x192_gridmask.py @3b81734
    """
    row = (0.752, 0.906, 0.825, 0.804, 0.943)
    return _changed("grid_mask", "gridmask", row, row)


def w32_coco_256x192_photometric() -> Recipe:
    """HRNet-W32, COCO val2017, 256×192, with other colours: published AP .754 (0.x: .753).

    As 0.x draws them, whose weights 1.x lists; ``augment.pixels=photometric_mmpose1`` is what the
    configuration of 1.x would train.
    Protocol, beginning and cost: as w32_coco_256x192_coarsedropout.
    Source: mmpose hrnet_w32_coco_256x192_photometric.py @3b81734
    """
    now, before = (0.754, 0.908, 0.825, 0.805, 0.943), (0.753, 0.909, 0.825, 0.805, 0.943)
    return _changed("photometric_mmpose0", "photometric", now, before)


def _with_aic(plain: Recipe, name: str, page: str, way: str, row: tuple[float, ...]) -> Recipe:
    """A network on COCO and AI Challenger together, drawn as 1.x does; data lie in ../aic.

    Boxes are HRNet's, a pixel smaller than those of 1.x, which are clipped alone.
    """
    base = _trained(plain, page, 512)
    published = dict(zip(("AP", "AP50", "AP75", "AR", "AR50"), row, strict=True))
    return replace(
        base,
        name=f"{name}_coco_aic_{way}_256x192",
        data=replace(base.data, join=f"aic_{way}d"),
        augment=encodings.MMPOSE_1X,
        benchmarks=(replace(base.benchmarks[0], published=published),),
    )


def _w32_with_aic(way: str, row: tuple[float, ...]) -> Recipe:
    return _with_aic(hrnet.w32_coco_256x192(), "w32", _COCO_AIC, way, row)


def w32_coco_aic_merge_256x192() -> Recipe:
    """HRNet-W32, COCO val2017, 256×192, AI Challenger's joints as COCO's: published AP .756.

    Protocol: a detector's boxes (56.4) and flip; .749 on COCO alone. AI Challenger has 12 of COCO's
    17 joints; the face is not visible there, and head top and neck are left out.
    Cost: 210 epochs of COCO's 149,813 people and AI Challenger's (378,352 by its paper).
    Source: mmpose td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-merge.py @759b39c
    """
    return _w32_with_aic("merge", (0.756, 0.907, 0.828, 0.809, 0.944))


def w32_coco_aic_combine_256x192() -> Recipe:
    """HRNet-W32, COCO val2017, 256×192, of 19 joints of both data sets: published AP .755.

    Protocol: as w32_coco_aic_merge_256x192; head top and neck are trained, and dropped in tests.
    Cost: as there.
    Source: mmpose td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine.py @759b39c
    """
    recipe = _w32_with_aic("combine", (0.755, 0.904, 0.825, 0.807, 0.942))
    return replace(recipe, model=HRNetMore(joints=17, width=32))


def res50_vis_coco_aic_merge_256x192() -> Recipe:
    """PoseResNet-50 that also says which joints are visible, COCO val2017, 256×192: AP .729.

    Protocol: a detector's boxes (56.4) and flip; .718 on COCO alone and without that head. Poses
    are scored by the maps alone. AI Challenger lacks the face, which is learnt as not visible:
    mmpose makes a mask for that, and loses it (``losses.maps_and_visibility``).
    Cost: as w32_coco_aic_merge_256x192.
    Source: mmpose td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge.py @759b39c
    """
    plain = simple_baseline.res50_coco_256x192()
    row = (0.729, 0.900, 0.807, 0.783, 0.938)
    recipe = _with_aic(plain, "res50_vis", _COCO.format("resnet"), "merge", row)
    return replace(
        recipe,
        model=PoseResNetVisibility(joints=17, layers=50),
        train=replace(recipe.train, loss="maps_and_visibility"),
    )
