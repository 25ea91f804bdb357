"""Twins of several seeds in both frameworks, in one command.

python -m reproduce.twins_run --dataset_root DATA --torch_python TORCH \
    --newell CLONE --hrnet CLONE

DATA is LSPET in MPII layout; TORCH the interpreter of a PyTorch environment with OpenCV, SciPy,
h5py, PyYAML, tqdm and safetensors; the clones are of princeton-vl/pytorch_stacked_hourglass and
leoxiaobin/deep-high-resolution-net.pytorch. For each recipe and seed it runs the commands of
``reproduce/twins.py``, then ``reproduce/twins_judge.py`` judges. What is done already is skipped:
after a stop the same command goes on, Paddle's run where it was, PyTorch's from its beginning. Two
runs go at a time, of one thread each. PyTorch's side may be made elsewhere: on a machine with a GPU
by ``twins.py torch --device cuda``, then its folder ``torch`` is laid into the pair's.

The plan, on two free cores: six runs of the hourglass of about an hour each, and six of the small
HRNet of about a quarter of an hour: four hours in all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.names import require_apart
from reproduce import small_runs, twins_judge
from reproduce.small_runs import SmallRun, run_script, side_by_side

HOURGLASS, HRNET = "newell_hg1_lspet_cells", "hrnet_w8_lspet"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.twins_run", description=__doc__)
    add = command.add_argument
    add("--dataset_root", type=Path, required=True, help="LSPET in MPII layout")
    add("--torch_python", type=Path, default=Path(sys.executable), help="that has PyTorch")
    add("--torch_device", default="cpu", help="PyTorch's: cpu, cuda or cuda:N")
    add("--newell", type=Path, help="clone; without it the hourglass is left out")
    add("--hrnet", type=Path, help="clone; without it HRNet is left out")
    add("--output_dir", type=Path, default=Path("output/twins"), help="runs")
    add("--record_dir", type=Path, default=twins_judge.RUNS, help="where the record goes")
    small_runs.add_arguments(command, seeds="runs of each recipe in each framework")
    return command


def initial(config: str, seed: int, pair: Path, log: Path) -> None:
    """Both files of the weights that a pair begins with."""
    if not (pair / "initial.safetensors").is_file():
        words = ["initial", "--config", config, "--seed", seed, "--output_dir", pair]
        run_script("reproduce.twins", words, log)


def run_torch(config: str, seed: int, clone: Path, options: argparse.Namespace) -> None:
    """The PyTorch side of a pair, unless it is done."""
    pair = options.output_dir / f"{config.rpartition(':')[2]}_s{seed}"
    folder = RunFolder(pair / "torch")
    began = time.perf_counter()
    if folder.record_file.is_file() and "finished" in (folder.read_record().get("result") or {}):
        return
    words = ["torch", "--config", config, "--seed", seed, "--dataset_root", options.dataset_root]
    words += ["--initial", pair / "initial.safetensors", "--reference", clone]
    words += ["--output_dir", folder.root, "--device", options.torch_device]
    log = folder.root.with_suffix(".log")
    run_script("reproduce.twins", words, log, python=options.torch_python)
    print(f"=> {folder.root}: {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    small_runs.require_possible(options)
    require_apart(options.record_dir, [options.output_dir], "--record_dir")
    if options.assignments:
        raise UserError("--set: twins run their recipes as they are; leave it out")
    clones = {HOURGLASS: options.newell, HRNET: options.hrnet}
    wanted = {name: clone for name, clone in clones.items() if clone is not None}
    if not wanted:
        raise UserError("--newell, --hrnet: neither is given; each names a clone to run against")
    left = ", ".join(sorted(clones.keys() - wanted.keys()))
    if left:
        print(f"=> left out, without a clone: {left}")
    options.output_dir.mkdir(parents=True, exist_ok=True)
    work = []
    for seed in range(options.seeds):
        for name, clone in wanted.items():
            config, pair = f"twins:{name}", options.output_dir / f"{name}_s{seed}"
            initial(config, seed, pair, options.output_dir / "initial.log")
            begun = ("--pretrained_model", pair / "initial.pdparams")
            place = f"{pair.name}/paddle"
            ours = SmallRun(config, seed, options.dataset_root, told=begun, name=place, last=True)
            work.append(partial(small_runs.run, ours, options.output_dir, ()))
            work.append(partial(run_torch, config, seed, clone, options))
    side_by_side(work, options.at_once)
    words = ["--runs", options.output_dir, "--dataset_root", options.dataset_root]
    twins_judge.main([*map(str, words), "--output_dir", str(options.record_dir)])


if __name__ == "__main__":
    with one_line_errors():
        main()
