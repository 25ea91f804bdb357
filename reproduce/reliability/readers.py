"""Every reader of users' files, once: ``READERS`` is the list that the fuzzer walks.

``opening_functions`` finds all functions of the package that open a file to read it; a test fails
where one is neither covered by a reader here nor excused in ``EXCUSED``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reproduce.reliability import converter_seeds as converters
from reproduce.reliability import mutations, seeds
from reproduce.reliability import weight_seeds as weights
from reproduce.reliability import whole_seeds as whole

PACKAGE = Path(__file__).parents[2] / "paddle_pose"


@dataclass(frozen=True)
class Reader:
    """One format of file, in the way that users meet it.

    Attributes:
        name: in tables.
        file: what is broken, by its path in the folder of the seed.
        make: writes the sound folder.
        read: reads it to its end.
        form: ``json``, ``yaml``, ``set`` or ``bytes``; what the mutations take it for.
        covers: functions of the package that this runs, ``data/boxes.py:read_boxes``.
        guarded: a checksum or digest promises that what is accepted is what was written.
        bombs: of its format.
        share: of the mutants, beside 1 for a usual reader; less where reading takes long.
    """

    name: str
    file: str
    make: Callable[[Path], None]
    read: Callable[[Path], seeds.Reading]
    form: str
    covers: tuple[str, ...]
    guarded: bool = False
    bombs: tuple[mutations.Bomb, ...] = ()
    share: float = 1.0


def _photo(ending: str, *bombs: mutations.Bomb, guarded: bool = False) -> Reader:
    return Reader(
        f"photo, {ending}", f"photo.{ending}", partial(seeds.photo, ending=ending),
        partial(seeds.read_photo, ending=ending), "bytes",
        ("data/image_files.py:file_bytes", "data/images.py:decode_rgb", "data/images.py:read_image",
         "data/images.py:_header_size", "data/image_sizes.py:header_of"),
        guarded=guarded, bombs=bombs,
    )  # fmt: skip


def _weights(ending: str, covers: tuple[str, ...], bomb: mutations.Bomb) -> Reader:
    return Reader(
        f"our weights, .{ending}", f"weights.{ending}",
        partial(weights.network_file, ending=ending),
        partial(weights.read_network, ending=ending), "bytes", covers,
        guarded=True, bombs=(bomb,),
    )  # fmt: skip


def _official(title: str, name: str, *covers: str, guarded: bool = False) -> Reader:
    return Reader(
        title, name, partial(weights.official, name=name),
        partial(weights.read_official, name=name),
        "bytes", ("porting/reader.py:read_file", *covers), guarded=guarded,
        bombs=(mutations.pickle_bomb,),
    )  # fmt: skip


def _run(title: str, file: str, form: str, *covers: str, guarded: bool = False) -> Reader:
    return Reader(
        f"run folder: {title}", f"run/{file}", weights.run_folder, weights.read_run, form, covers,
        guarded=guarded, share=0.15,
    )  # fmt: skip


_PICKLE = ("weights/pickle_machine.py:_Machine.run", "weights/safe_pickle.py:load_data")
_MPII = ("files.py:read_bytes", "files.py:parse_json", "files.py:json_bytes")
_COCO = ("files.py:json_bytes", "data/coco_file.py:_content")

READERS: tuple[Reader, ...] = (
    Reader("MPII json, HRNet's layout", "data/annot/valid.json", seeds.hrnet_layout,
           partial(seeds.read_mpii, file="predictions.mat"), "json", _MPII),
    Reader("MPII json, mmpose's layout", "data/annotations/mpii_val.json", seeds.mmpose_layout,
           partial(seeds.read_mpii, file="predictions.mat"), "json", _MPII),
    Reader("MPII json, training split", "data/annot/train.json", seeds.hrnet_layout,
           seeds.read_training_people, "json", _MPII),
    Reader("MPII truth, .mat", "data/annot/gt_valid.mat", seeds.hrnet_layout, seeds.read_mpii,
           "bytes", ("array_files.py:_whole",), bombs=(mutations.mat_bomb,)),
    Reader("COCO annotations, coco17", "truth.json", seeds.coco_layout, seeds.read_coco, "json",
           _COCO),
    Reader("COCO annotations, from_file", "truth.json", seeds.coco_layout, seeds.read_own_joints,
           "json", _COCO),
    Reader("COCO annotations, a user's own", "truth.json", seeds.own_layout, seeds.read_own_joints,
           "json", _COCO),
    Reader("detector boxes", "boxes.json", seeds.coco_layout, seeds.read_detector_boxes, "json",
           ("files.py:json_bytes", "data/boxes.py:read_boxes")),
    Reader("predictions.json", "predictions.json", seeds.hrnet_layout, seeds.read_mpii, "json",
           ("poses/predictions.py:_read_json",)),
    Reader("predictions, .mat", "predictions.mat", seeds.hrnet_layout,
           partial(seeds.read_mpii, file="predictions.mat"), "bytes",
           ("array_files.py:_whole",), bombs=(mutations.mat_bomb,)),
    Reader("predictions, .h5", "predictions.h5", seeds.hrnet_layout,
           partial(seeds.read_mpii, file="predictions.h5"), "bytes",
           ("array_files.py:read_hdf5",), bombs=(mutations.hdf5_bomb,)),
    Reader("COCO results", "results.json", seeds.coco_layout, seeds.read_coco, "json",
           ("poses/coco_results.py:read_results", "poses/coco_results.py:is_results_file")),
    Reader("COCO results, .json.gz", "results.json.gz", seeds.compressed_results,
           partial(seeds.read_coco, results="results.json.gz"), "bytes", ("files.py:_inflated",),
           guarded=True, bombs=(mutations.gzip_bomb,)),
    Reader("results to draw", "results.json", seeds.coco_layout, seeds.read_to_draw, "json",
           ("commands/draw.py:read_poses",)),
    _official("PyTorch .pth, zip", "training_zip.pth", "porting/torch_format.py:read_zip",
              guarded=True),
    _official("PyTorch .pth, legacy", "training_legacy.pth",
              "porting/torch_format.py:read_legacy"),
    _official("Paddle's .pdparams", "paddle26.pdparams", *_PICKLE),
    Reader("Keras's weights, .h5", "keras.h5", weights.of_keras,
           partial(weights.read_official, name="keras.h5"), "bytes",
           ("porting/reader.py:read_file", "array_files.py:read_hdf5_tree"),
           bombs=(mutations.hdf5_bomb,), share=0.3),
    Reader("NumPy's weights, .npz", "keras.npz", weights.of_keras,
           partial(weights.read_official, name="keras.npz"), "bytes",
           ("porting/reader.py:read_file", "array_files.py:is_npz", "array_files.py:read_npz"),
           share=0.3),
    _weights("pdparams", (*_PICKLE, "weights/facts.py:read_facts"), mutations.pickle_bomb),
    _weights("safetensors", ("weights/tensors.py:read_safetensors", "weights/facts.py:read_facts"),
             mutations.safetensors_bomb),
    Reader("our weights, halves", "weights.safetensors", weights.halves,
           partial(weights.read_network, ending="safetensors"), "bytes",
           ("weights/tensors.py:_with_bfloat16",), guarded=True, share=0.5),
    Reader("record.json beside weights", "run/record.json", weights.beside_weights,
           weights.read_beside, "json", ("inference/predictor.py:_skeleton_of",), share=0.3),
    Reader("published weights in the cache", "made_up/made_up.pth", weights.download,
           weights.read_download, "bytes", ("porting/download.py:_verify",), guarded=True,
           share=0.3),
    Reader("labelme's file to convert", "labels/a.json", converters.labelme,
           converters.read_labelme, "json",
           ("converting/labelme.py:convert", "converting/labelme.py:_image"), share=0.3),
    Reader("YOLO's settings to convert", "data.yaml", converters.yolo_pose,
           converters.read_yolo_pose, "yaml",
           ("converting/yolo_pose.py:convert", "converting/yolo_pose.py:_text"), share=0.3),
    Reader("YOLO's labels to convert", "labels/train/a.txt", converters.yolo_pose,
           converters.read_yolo_pose, "bytes", ("converting/yolo_pose.py:_text",), share=0.3),
    Reader("BodyPoseNet's spec to convert", "spec.yaml", converters.bpnet_spec,
           converters.read_bpnet_spec, "yaml", ("recipes/plain_yaml.py:read",), share=0.3),
    Reader("BodyPoseNet's pose to convert", "pose.json", converters.bpnet_spec,
           converters.read_bpnet_spec, "json", ("converting/bpnet_spec.py:_pose",), share=0.3),
    Reader("COCO file to convert", "truth.json", seeds.coco_layout, converters.read_coco, "json",
           ("converting/coco.py:convert",), share=0.3),
    Reader("OCHuman's file to convert", "ochuman.json", converters.ochuman,
           converters.read_ochuman, "json", ("converting/ochuman.py:convert",), share=0.3),
    Reader("photo to browse", "data/images/train_000000.jpg", converters.photos,
           converters.read_browsed, "bytes", ("commands/browse.py:read_pictures",), share=0.05),
    Reader("detector's infer_cfg.yml", "infer_cfg.yml", converters.detector,
           converters.read_detector, "yaml", ("inference/paddle_detector.py:read_settings",),
           bombs=(mutations.yaml_bomb,), share=0.3),
    _photo("jpg", mutations.huge_jpeg),
    _photo("png", mutations.huge_png, guarded=True),
    _photo("webp"),
    _photo("bmp", mutations.huge_bmp),
    _photo("tif"),
    Reader("images.zip", "data/images.zip", partial(seeds.packed, kind="zip"), seeds.read_packed,
           "bytes", ("data/archives.py:_zip_members", "data/archives.py:Member.read",
                     "data/top_down.py:read_photo"),
           guarded=True, bombs=(mutations.zip_bomb,)),
    Reader("images.tar", "data/images.tar", partial(seeds.packed, kind="tar"), seeds.read_packed,
           "bytes", ("data/archives.py:_tar_members", "data/archives.py:Member.read")),
    Reader("COCO annotations, whole pictures", "data/annotations/person_keypoints_own.json",
           whole.layout, whole.read, "json",
           ("data/whole_people.py:_shapes", "data/whole_people.py:Annotated.photo"), share=0.5),
    Reader("shards of whole pictures", "data/bottom_up/own-000000.tar", whole.shards, whole.read,
           "bytes", ("data/record_shards.py:_pictures", "data/record_shards.py:Packed.mask"),
           share=0.5),
    Reader("index of shards", "data/bottom_up/own.json", whole.shards, whole.read, "json",
           ("data/record_shards.py:is_index", "data/record_shards.py:read_index"), share=0.5),
    Reader("recipe.yaml", "recipe.yaml", seeds.recipe_file, seeds.read_recipe, "yaml",
           ("recipes/plain_yaml.py:read", "recipes/plain_yaml.py:parse"),
           bombs=(mutations.yaml_bomb,)),
    Reader("--set", "set.txt", seeds.keys_to_set, seeds.read_assignment, "set",
           ("recipes/plain_yaml.py:parse",)),
    _run("state", "last/checkpoint.safetensors", "bytes", "weights/checkpoint.py:read_state",
         guarded=True),
    _run("record.json", "record.json", "json", "commands/record.py:RunFolder.read_record"),
    _run("metrics.jsonl", "metrics.jsonl", "json", "commands/record.py:RunFolder._metric_lines",
         "commands/record.py:_place", "drawing.py:_read_metrics"),
    _run("recipe.yaml", "recipe.yaml", "yaml", "recipes/plain_yaml.py:read"),
    Reader("quickstart: scores.json", "eval/scores.json", weights.quickstart_folder,
           weights.read_quickstart, "json", ("commands/quickstart.py:evaluated",), share=0.3),
    Reader("stamp of rendered people", "data/synthetic.json", weights.stamped, weights.read_stamp,
           "json", ("synthetic/dataset.py:_read_stamp",), share=0.15),
)  # fmt: skip

EXCUSED = {
    "system/runtime.py:cpu_facts": "/proc/cpuinfo, which the kernel writes",
    "commands/record.py:_cpu_model": "/proc/cpuinfo, which the kernel writes",
    "system/memory.py:_limit": "/proc and /sys, which the kernel writes",
    "system/parallel.py:_runs": "/proc, which the kernel writes",
    "system/launching.py:_children": "/proc, which the kernel writes",
    "system/launching.py:start": "/proc, which the kernel writes",
    "system/launching.py:stop_children": "/proc, which the kernel writes",
    "weights/facts.py:WeightFacts.text": "text that it wrote itself a moment before",
    "weights/tensors.py:_sort_metadata": "a file that it wrote itself a moment before",
    "porting/download.py:published_weights": "a table of the package itself",
    "porting/download.py:_read_stamp": "the program's own note; anything else starts afresh",
    "porting/download.py:_attempt": "goes on writing its own part file; fetch then checks the hash",
    "settings.py:Benchmark.protocol": "text that it wrote itself a moment before",
    "files.py:sha256": "takes any bytes",
    "converting/mat_file.py:load_mat": "reads in a process apart; tests/converting breaks it",
    "converting/mpii.py:_json_rows": "beside MPII's release; tests/converting breaks it",
    "converting/mpii.py:_named_images": "beside MPII's release; tests/converting breaks it",
    "converting/mpii.py:_read_h5": "beside MPII's release; tests/converting breaks it",
    "serving/networks.py:_loaded": "weights and exported networks, each read by a Reader here",
    "inference/graph.py:Graph.read": "files whose hashes exported.py has checked",
    "inference/kept.py:_digest": "the package's own code",
    "inference/kept.py:read": "hashes that it noted itself; tests/inference/test_kept breaks it",
    "inference/streams.py:start": "what kept.py:read has checked; tests/inference/test_streams",
    "inference/paddle_detector.py:_unpacked": "the hash that it noted itself before",
    "inference/paddle_detector.py:_unpack": "an archive fetched from its makers",
    "commands/looking.py:Network.looking_at": "opens what other functions here read",
    "commands/predict.py:_Job.video": "a video: OpenCV's; tests/commands/test_predict breaks it",
}
"""Functions that open files and are not fuzzed, each with its reason."""

_ALWAYS = {
    "read_text", "read_bytes", "loadmat", "imdecode", "imread", "imreadmulti", "safe_open",
    "deserialize", "load_file", "fromfile", "memmap", "genops", "DictReader", "read_json",
    "safe_load", "loadtxt", "genfromtxt", "ZipFile", "h5py.File", "json.load", "json.loads",
    "np.load", "pickle.load", "pickle.loads", "paddle.load", "yaml.load", "torch.load",
}  # fmt: skip


def opening_functions() -> Iterator[str]:
    """``folder/file.py:Class.function`` of all that open a file to read, or parse its text."""
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        found = dict.fromkeys(_opening(ast.parse(file.read_text(encoding="utf-8")), ()))
        yield from (f"{name}:{function}" for function in found)


def _opening(node: ast.AST, inside: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        names = inside
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not _is_in_function(node, inside):
            names = (*inside, child.name)
        if isinstance(child, ast.Call) and _opens(child):
            yield ".".join(inside) or "<module>"
        yield from _opening(child, names)


def _is_in_function(node: ast.AST, inside: tuple[str, ...]) -> bool:
    """Functions within functions count as the outer one."""
    return isinstance(node, ast.FunctionDef) and bool(inside)


def _opens(call: ast.Call) -> bool:
    written = ast.unparse(call.func)
    last = written.rpartition(".")[2]
    if last == "open":
        texts = [a.value for a in (*call.args, *(k.value for k in call.keywords))
                 if isinstance(a, ast.Constant) and isinstance(a.value, str)]  # fmt: skip
        return written != "os.open" and not any(set(text) & set("wax") for text in texts if
                                                set(text) <= set("rwaxbt+:"))  # fmt: skip
    return written in _ALWAYS or last in _ALWAYS
