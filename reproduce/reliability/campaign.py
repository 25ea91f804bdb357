"""The whole campaign into one record, part by part; a part that ended is kept whatever follows.

``reliability.json``: ``fuzz`` and ``faults`` by name and ``soak``, each with its seed and commit.
"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from paddle_pose.commands.record import code_state, environment, now
from paddle_pose.files import write_json
from reproduce.reliability import faults, fuzzing, soaking, tries
from reproduce.reliability.readers import READERS
from reproduce.reliability.runs import Lab

MUTANTS = 21_000
FUZZ_SHARE = 0.6
PARTS = ("fuzz", *faults.BY_NAME, "soak")
ROOT = Path(__file__).parents[2]
RECORD = ROOT / "reproduce" / "reliability.json"
KEPT = ROOT / "output" / "reliability" / "faults"
"""Mutants that ended badly; ``--replay`` reads one again."""


@dataclass(frozen=True)
class Plan:
    """What is to be tried.

    Attributes:
        parts: of PARTS.
        seed: of all draws.
        budget_minutes: no try begins later; the fuzzer takes at most FUZZ_SHARE of it.
        mutants: in all, over the readers.
        share: of the tries of each fault, for short campaigns.
        record, work, kept: files and folders.
        resume: leave out what the record has of this commit and seed.
    """

    parts: tuple[str, ...]
    seed: int
    work: Path
    budget_minutes: float = 45.0
    mutants: int = MUTANTS
    share: float = 1.0
    record: Path = RECORD
    kept: Path = KEPT
    resume: bool = False


def read_record(file: Path) -> dict[str, Any]:
    """What stands there; an empty record where nothing does."""
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {"fuzz": {}, "faults": {}, "soak": {}} | found


def run(plan: Plan) -> list[str]:
    """Try everything of the plan; what fell short, a line each."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:  # in the background of a script
            signal.signal(number, lambda *_: None)  # ignored here, but not by what is started here
    fuzzing.preload()
    began, minutes = time.monotonic(), plan.budget_minutes
    until, half = began + 60 * minutes, began + 60 * minutes * FUZZ_SHARE
    record = read_record(plan.record) if plan.resume else read_record(Path())
    stamp = {**code_state(), "seed": plan.seed}

    def is_asked(part: str, entry: dict[str, Any] | None) -> bool:
        done = entry and (entry["commit"], entry["seed"]) == (stamp["commit"], plan.seed)
        return part in plan.parts and not done

    def keep(section: str, name: str, found: dict[str, Any]) -> None:
        found = {**found, **stamp, "date": now(), "cpu": environment()["cpu"]}
        current = read_record(plan.record)  # with what other campaigns wrote meanwhile
        current[section] = current[section] | {name: found} if name else found
        write_json(plan.record, current)

    counts = {
        reader: fuzzing.mutants_of(reader, plan.mutants)
        for reader in READERS
        if is_asked("fuzz", record["fuzz"].get(reader.name))
    }
    with tqdm(disable=None, total=sum(counts.values()), unit=" files", smoothing=0.05) as bar:
        for reader, count in counts.items():
            bar.set_description(reader.name)
            work = plan.work / "fuzz"
            found = fuzzing.try_mutants(
                reader, count, plan.seed, work, plan.kept, tick=bar.update, until=half
            )
            keep("fuzz", reader.name, found)
    lab = Lab(plan.work)
    if is_asked("soak", record["soak"]) and time.monotonic() < until:
        steps = max(round(soaking.STEPS_IN_ALL * plan.share), 20)
        with tqdm(disable=None, total=steps, unit=" steps", desc="a long run") as bar:
            keep("soak", "", soaking.watched(lab, steps, tick=bar.update))
    for fault in faults.FAULTS:
        if not is_asked(fault.name, record["faults"].get(fault.name)):
            continue
        count = max(round(fault.tries * plan.share), 1)
        with tqdm(disable=None, total=count, unit=" tries", desc=fault.title) as bar:
            found = tries.run_fault(fault, lab, plan.seed, count, tick=bar.update, until=until)
        keep("faults", fault.name, found)
    return shortcomings(read_record(plan.record))


def shortcomings(record: dict[str, Any]) -> list[str]:
    """Everything that is not as promised, a line each."""
    found = []
    for name, entry in record["fuzz"].items():
        for kind, fault in entry["faults"].items():
            example = fault["examples"][0]
            found.append(
                f"{name}: {fault['times']} × {kind}; {example['file']} ({example['line']})"
            )
    for name, entry in record["faults"].items():
        found += [f"{name}: {one['what']}; {one['line']}" for one in entry.get("wrong", ())]
    soak = record["soak"]
    for name in ("exit_code", "left_in_shared_memory"):
        if soak and soak[name]:
            found.append(f"soak: {name.replace('_', ' ')} {soak[name]}")
    grown = (soak.get("growth") or {}).get("rank_mib")
    if grown is not None and grown > soaking.GROWTH:
        found.append(f"soak: the rank's resident memory grows by {grown:.1%}")
    return found
