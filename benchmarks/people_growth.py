"""Start-up against the people in the data set: seconds to the first batch, memory of all processes.

``python -m benchmarks.people_growth [--layout coco] [--people 2000 20000 200000] [--quick]``
prints the rows; ``benchmarks.growth`` draws them. What is started is what ``train.py`` does before
its first step, without the network: annotations read, images found, two workers, a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT
from benchmarks.pipeline import temporary_folder
from benchmarks.worker import SkippedError, Work
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import one_line_errors

PEOPLE_PER_IMAGE = {"mpii": 1.5, "coco": 2.6}
"""Of MPII's training people (22,246 on 14,679 photos) and COCO's (149,813 on 56,599)."""
SIZE_WH = (640, 480)
NAMES_PER_FILE = 20_000
"""Hard links to one photo: file systems allow some ten thousand."""
WORKERS, BATCH, BATCHES = 2, 32, 4
RECIPES = {"mpii": "hourglass:newell_hg2_mpii_256x256", "coco": "hrnet:w32_coco_256x192"}


def write_people(root: Path, layout: str, people: int) -> None:
    """Annotations as long as the real ones and a photo for each name, in that layout."""
    import cv2

    rng = np.random.default_rng(0)
    folder = root / "images" / ("train2017" if layout == "coco" else "")
    folder.mkdir(parents=True)
    image = cv2.GaussianBlur(rng.integers(0, 256, (*SIZE_WH[::-1], 3), np.uint8), (0, 0), 3)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    count = max(1, int(people / PEOPLE_PER_IMAGE[layout]))
    names = [f"{number:012d}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        first = folder / names[number - number % NAMES_PER_FILE]
        if number % NAMES_PER_FILE:
            os.link(first, folder / name)
        else:
            first.write_bytes(data)
    write = write_mpii if layout == "mpii" else write_coco
    write(root, names, people, rng)
    write(root, names[:20], 30, rng, training=False)


def write_mpii(
    root: Path, names: list[str], people: int, rng: np.random.Generator, *, training: bool = True
) -> None:
    """HRNet's layout; the validation part with its .mat."""
    from benchmarks.random_people import mpii_people

    (root / "annot").mkdir(exist_ok=True)
    joints = np.round(rng.uniform(1, 480, (people, 16, 2)), 1)
    centers = np.round(rng.uniform(100, 400, (people, 2)), 1)
    visible = (rng.random((people, 16)) < 0.9).astype(int)
    file = root / "annot" / ("train.json" if training else "valid.json")
    with file.open("w", encoding="utf-8") as stream:
        for person in range(people):
            record = {
                "joints_vis": visible[person].tolist(),
                "joints": joints[person].tolist(),
                "image": names[person * len(names) // people],
                "scale": 1.234567,
                "center": centers[person].tolist(),
            }
            stream.write(("," if person else "[") + json.dumps(record))
        stream.write("]")
    if not training:
        from scipy.io import savemat

        savemat(root / "annot" / "gt_valid.mat", mpii_people(people).mat())


def write_coco(
    root: Path, names: list[str], people: int, rng: np.random.Generator, *, training: bool = True
) -> None:
    """The official layout, outlines and addresses included: those are half of the real file."""
    (root / "annotations").mkdir(exist_ok=True)
    split = "train2017" if training else "val2017"
    if not training:
        os.symlink("train2017", root / "images" / split)
    outlines = np.round(rng.uniform(0, 480, (people, 40)), 2)
    keypoints = rng.integers(0, 480, (people, 17, 3))
    keypoints[..., 2] = rng.integers(0, 3, (people, 17))
    address = "http://images.cocodataset.org/train2017/"
    file = root / "annotations" / f"person_keypoints_{split}.json"
    with file.open("w", encoding="utf-8") as stream:
        category = {"id": 1, "name": "person"}
        stream.write('{"info": {}, "categories": [' + json.dumps(category) + '], "images": [')
        for number, name in enumerate(names):
            record = {
                "license": 3,
                "file_name": name,
                "coco_url": address + name,
                "height": SIZE_WH[1],
                "width": SIZE_WH[0],
                "date_captured": "2013-11-14 11:18:45",
                "flickr_url": "http://farm9.staticflickr.com/8186/" + name,
                "id": number + 1,
            }
            stream.write(("," if number else "") + json.dumps(record))
        stream.write('], "annotations": [')
        for person in range(people):
            record = {
                "segmentation": [outlines[person].tolist()],
                "num_keypoints": 17,
                "area": 28292.08625,
                "iscrowd": 0,
                "keypoints": keypoints[person].ravel().tolist(),
                "image_id": person * len(names) // people + 1,
                "bbox": [40.12, 30.5, 220.25, 310.75],
                "category_id": 1,
                "id": person + 1,
            }
            stream.write(("," if person else "") + json.dumps(record))
        stream.write("]}")


def start(root: str, recipe_name: str) -> None:
    """What ``train.py`` does up to its first batches; prints the seconds to the first one."""
    began = time.perf_counter()
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    runtime.import_paddle()
    from benchmarks.networks import load_recipe
    from paddle_pose.data.loader import training_batches
    from paddle_pose.evaluation.evaluator import DataFiles
    from paddle_pose.evaluation.task import task_for

    recipe = load_recipe(recipe_name)
    files = DataFiles(Path(root))
    task, _ = task_for(recipe, files, files)
    batches = training_batches(
        task.samples, batch_size=BATCH, epochs=1, seed=0, num_workers=WORKERS
    )
    next(batches)
    print(f"first batch {time.perf_counter() - began}", flush=True)
    for _ in range(BATCHES - 1):
        next(batches)
    to_validate = len(task.evaluator.samples(1.0))
    print(f"=> {len(task.samples)} people, {to_validate} to validate on", flush=True)
    os._exit(0)  # the rest of the epoch is of no interest


def descendants(process: int) -> list[int]:
    """A process and all below it."""
    found = [process]
    for parent in found:
        try:
            threads = list(Path(f"/proc/{parent}/task").iterdir())
            found += [int(x) for t in threads for x in (t / "children").read_text().split()]
        except OSError:  # it ended meanwhile
            continue
    return found


def shared_out_mib(process: int) -> float:
    """Memory of a process and its children, shared pages counted once (PSS)."""
    total_kb = 0
    for member in descendants(process):
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        total_kb += sum(int(x.split()[1]) for x in text.splitlines() if x.startswith("Pss:"))
    return total_kb / 1024


def start_up(people: int, layout: str = "coco") -> Work:
    """Seconds from starting the process to its first batch; memory with its workers at most."""
    if not Path("/proc/self/smaps_rollup").exists():
        raise SkippedError("this system does not say how much memory processes share")
    root = temporary_folder() / layout
    write_people(root, layout, people)
    words = [sys.executable, "-m", "benchmarks.people_growth", "--start", str(root)]
    peaks: list[float] = []

    def run() -> float:
        process = subprocess.Popen(  # noqa: S603
            [*words, "--layout", layout], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.05):
                peaks.append(shared_out_mib(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            output, _ = process.communicate()
        finally:
            ended.set()
            watcher.join()
        if process.returncode:
            raise RuntimeError(f"start-up at {people} people ended with {process.returncode}")
        (line,) = (line for line in output.splitlines() if line.startswith("first batch "))
        return float(line.split()[2])

    return Work(run, facts={"layout": layout}, figures=lambda: {"peak_mib": max(peaks)})


def main() -> None:
    """Print one row per number of people."""
    parser = CommandLine(prog="python -m benchmarks.people_growth", description=__doc__)
    add = parser.add_argument
    add("--layout", choices=sorted(RECIPES), default="coco")
    add("--people", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    add("--quick", action="store_true", help="2,000 people alone")
    add("--start", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.start:
        start(str(arguments.start), RECIPES[arguments.layout])
    print(f"{'people':>8}  {'seconds to the first batch':>26}  {'MiB of all processes':>20}")
    for people in arguments.people[:1] if arguments.quick else arguments.people:
        work = start_up(people, arguments.layout)
        seconds = work.run()
        print(f"{people:>8,}  {seconds:>26.1f}  {work.figures()['peak_mib']:>20.0f}", flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
