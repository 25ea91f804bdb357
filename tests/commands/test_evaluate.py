"""val.py as a user meets it: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from places import ROOT
from scipy.io import loadmat, savemat

from paddle_pose.commands import predicting
from paddle_pose.data import mpii
from paddle_pose.errors import UserError
from paddle_pose.evaluation.mpii import MpiiEvaluator
from paddle_pose.models import build
from paddle_pose.porting import loading
from paddle_pose.poses.poses import Poses


@pytest.fixture
def val() -> ModuleType:
    spec = importlib.util.spec_from_file_location("val", ROOT / "val.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(val: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Calls val.py in this process; returns its exit code, output and error line."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["val.py", *map(str, arguments)])
        code = 0
        try:
            val.main()
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def mpii_root(reference_data: Path) -> Path:
    return reference_data / "data/mpii"


@pytest.fixture
def lspet_root(reference_data: Path) -> Path:
    return reference_data / "data/lspet_mpii"


def eval_values(output: str) -> dict[str, float]:
    line = next(line for line in output.splitlines() if line.startswith("[EVAL] "))
    return {key: float(value) for key, value in (item.split("=") for item in line.split()[1:])}


def test_published_predictions_without_paddle(mpii_root: Path, tmp_path: Path) -> None:
    code = (
        "import runpy, sys; runpy.run_path('val.py', run_name='__main__');"
        "print('loaded', sorted({'paddle', 'cv2'} & set(sys.modules)))"
    )
    arguments = ["--predictions", mpii_root / "preds/valid-ours.h5", "--pixel_origin", "1"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--dataset_root", mpii_root],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "loaded []" in result.stdout
    # The reference's own numbers, printed to three decimals.
    expected = {"Mean": 88.035, "Mean@0.1": 28.647, "Mean@0.11": 32.805}
    values = eval_values(result.stdout)
    assert {name: round(values[name], 3) for name in expected} == expected
    assert list(values) == sorted(values)
    assert "=> num_images: 2729\n=> load 2958 samples\n" in result.stdout
    assert "0.11 under the name Mean@0.1" in result.stdout


def test_one_pixel_shows_at_a_tenth_of_a_head(run, mpii_root: Path) -> None:
    arguments = ("--predictions", mpii_root / "preds/valid-ours.h5", "--dataset_root", mpii_root)
    _, stated, _ = run(*arguments, "--pixel_origin", 1)
    _, shifted, _ = run(*arguments, "--pixel_origin", 0)
    _, assumed, _ = run(*arguments)
    assert round(eval_values(stated)["Mean@0.1"], 3) == 28.647
    assert round(eval_values(shifted)["Mean@0.1"], 3) == 28.093
    assert eval_values(assumed) == eval_values(shifted)
    assert "0-based coordinates; --pixel_origin says it" in assumed
    assert "read as 1-based, Mean@0.1 would be 28.647" in assumed
    assert "would be" not in shifted


def predict_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the table's own joints in the network's place."""

    def poses_of(network: object, recipe: object, evaluator: MpiiEvaluator, how: object) -> Poses:
        table = evaluator.table
        poses = Poses(
            image_ids=table.image_ids[table.image_index],
            keypoints=np.concatenate([table.joints_xy, np.ones((len(table), 16, 1))], 2),
            scores=np.ones(len(table)),
            boxes_xywh=np.full((len(table), 4), np.nan),
            rows=table.rows,
            instances=np.zeros(len(table), np.int64),
        )
        return evaluator.finish(poses)

    monkeypatch.setattr(predicting, "poses_of", poses_of)
    monkeypatch.setattr(predicting, "choose", lambda *_: "eager")
    monkeypatch.setattr(build, "build", lambda _: None)
    monkeypatch.setattr(loading, "load_weights", lambda *_, **__: SimpleNamespace(lines=[]))


def test_predicts_to_disk_and_scores_from_there(
    run, monkeypatch, lspet_root: Path, tmp_path: Path
) -> None:
    predict_truth(monkeypatch)
    weights, out = tmp_path / "w.pdparams", tmp_path / "out"
    weights.write_bytes(b"weights")
    data = ("--dataset_root", lspet_root)
    code, output, _ = run("--pretrained_model", weights, *data, "--output_dir", out)
    assert code == 0
    assert set(eval_values(output).values()) == {100.0}
    assert "published" not in output  # 500 people of another data set are not MPII's row
    assert {file.name for file in out.iterdir()} == {"predictions.json", "pred.mat", "scores.json"}
    scores = json.loads((out / "scores.json").read_text())
    assert scores["values"]["Mean"] == 100.0
    assert scores["engine"] == "eager float32"
    assert scores["intervals"]["Mean"] == [100.0, 100.0]
    assert scores["per_joint"]["pelvis"] is None  # nobody has one, and JSON has no nan
    assert scores["counts"] == {
        "people": 500,
        "labelled_joints": 6466,
        "labelled_joints_scored": 6466,
    }
    table = mpii.load(lspet_root, "valid")
    np.testing.assert_array_equal(loadmat(out / "pred.mat")["preds"], table.joints_xy + 1.0)

    assert "replacing" not in output
    _, replaced, _ = run("--pretrained_model", weights, *data, "--output_dir", out)
    assert f"=> {out}: replacing the evaluation of 20" in replaced
    for file in ("predictions.json", "pred.mat"):  # both come back with their own pixel origin
        code, again, _ = run("--predictions", out / file, *data)
        assert code == 0
        assert eval_values(again) == eval_values(output)
    code, few, _ = run("--predictions", out / "predictions.json", *data, "--set", "data.limit=9")
    assert code == 0
    assert "=> load 9 samples" in few


def test_scores_of_a_run_lie_in_its_folder(run, monkeypatch, lspet_root: Path, tmp_path: Path):
    predict_truth(monkeypatch)
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "run" / "last" / "model.pdparams"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    data = ("--dataset_root", lspet_root, "--set", "data.limit=9")
    for there in ("output", "run"):
        code, _, _ = run("--pretrained_model", weights, *data)
        assert code == 0
        assert [f.parts[0] for f in Path().glob("*/**/eval_*/scores.json")] == [there]
        shutil.rmtree("output", ignore_errors=True)
        (tmp_path / "run" / "recipe.yaml").touch()  # by which it is a run's folder


def test_refuses_predictions_of_something_else(
    run, monkeypatch, lspet_root: Path, mpii_root: Path, tmp_path: Path
) -> None:
    predict_truth(monkeypatch)
    weights, out = tmp_path / "w.pdparams", tmp_path / "out"
    weights.write_bytes(b"weights")
    made = ("--pretrained_model", weights, "--output_dir", out, "--set", "data.limit=7")
    assert run(*made, "--dataset_root", lspet_root)[0] == 0
    score = ("--predictions", out / "predictions.json", "--dataset_root", lspet_root)
    limit = ("--set", "data.limit=7")
    cases = {
        score: "7 people, 500 are asked for",
        (*score, *limit, "--image_size", 384): "made with recipe 'hourglass52_mpii_256x256', but "
        "'hourglass52_mpii_384x384' was asked for",
        (*score, *limit, "--benchmark", "mpii_val_no_shift"): "'mpii_val' with name='mpii_val', "
        "but 'mpii_val_no_shift'",
        (*score[:3], mpii_root, *limit): "made for an annotation file with sha256",
        (*score, *limit, "--pixel_origin", 1): "--pixel_origin 1, but the file says",
        (*score, "--engine", "onednn"): "--engine: has no meaning with --predictions",
        (*score, "--batch_size", 4): "--batch_size: has no meaning with --predictions",
    }
    for arguments, expected in cases.items():
        code, _, error = run(*arguments)
        assert code == 2
        assert expected in error
        assert error.count("\n") == 1
    assert run(*score, *limit, "--image_size", 256, "--benchmark", "mpii_val")[0] == 0


def test_published_values_stand_beside_the_same_protocol_only(
    run, monkeypatch, mpii_root: Path, tmp_path: Path
) -> None:
    predict_truth(monkeypatch)
    monkeypatch.setattr(mpii, "require_images", lambda table: None)  # five images are here
    weights, out = tmp_path / "w.pdparams", tmp_path / "out"
    weights.write_bytes(b"weights")
    data = ("--dataset_root", mpii_root, "--set", "eval.bootstrap=0")
    _, output, _ = run("--pretrained_model", weights, "--output_dir", out, *data)
    assert "published" in output
    assert "+68.300" in output  # 100 - 31.7, which the recipe spells Mean@0.10
    _, foreign, _ = run("--predictions", mpii_root / "preds/valid-ours.h5", *data)
    assert "published" not in foreign


def test_wrong_usage_is_one_line_and_exit_code_2(run, mpii_root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    data = ("--dataset_root", mpii_root)
    preds = ("--predictions", mpii_root / "preds/valid-ours.h5")
    weights = ("--pretrained_model", tmp_path / "file")
    cases = {
        (*weights, "--dataset_root", tmp_path): "no MPII annotations here",
        (*data, "--set", "name=never_run"): "give --pretrained_model FILE to predict",
        (*data, "--pretrained_model", tmp_path / "none"): "no such file",
        (*data, *weights, "--pixel_origin", 1): "only with --predictions",
        (*data, *weights, "--batch_size", 0): "must be at least 1",
        (*data, "--predictions", tmp_path / "none.h5"): "no such predictions file",
        (*preds, "--dataset_root", tmp_path): "no MPII annotations here",
        (*preds, *data, "--benchmark", "mpii_vall"): "did you mean 'mpii_val'",
        (*preds, *data, "--output_dir", tmp_path / "file/out"): "cannot write there",
        (*preds, *data, "--set", "data.val_split=valid_5"): "2958 people, expected all 5",
        (*preds, *data, "--set", "data.skeleton=coco17"): "mpii has 'mpii16', not 'coco17'",
    }
    for arguments, expected in cases.items():
        code, _, error = run(*arguments)
        assert code == 2, arguments
        assert expected in error
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def test_test_split_writes_predictions_and_no_score(run, mpii_root: Path, tmp_path: Path) -> None:
    (tmp_path / "annot").mkdir()
    people = json.loads((mpii_root / "annot/valid_5.json").read_text())
    bare = [{key: one[key] for key in ("image", "center", "scale")} for one in people]
    (tmp_path / "annot/test.json").write_text(json.dumps(bare))
    savemat(tmp_path / "p.mat", {"preds": np.full((5, 16, 2), 3.0)})
    code, output, _ = run(
        *("--predictions", tmp_path / "p.mat", "--pixel_origin", 0, "--dataset_root", tmp_path),
        *("--set", "data.val_split=test", "--output_dir", tmp_path / "out"),
    )
    assert code == 0
    assert "no published truth" in output
    assert "[EVAL]" not in output
    np.testing.assert_array_equal(loadmat(tmp_path / "out/pred.mat")["preds"], 4.0)
    assert not (tmp_path / "out/scores.json").exists()


def test_a_folder_in_use_is_refused_and_nothing_is_called_replaced(tmp_path):
    from paddle_pose.commands.evaluate import _Folder

    (tmp_path / "scores.json").write_text("{}")
    with _Folder(tmp_path), pytest.raises(UserError, match="another process writes there"):
        _Folder(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]


def test_a_refusal_leaves_no_empty_folder(tmp_path):
    from paddle_pose.commands.evaluate import _Folder

    for folder, stays in ((tmp_path / "new", False), (tmp_path, True)):
        with pytest.raises(UserError), _Folder(folder):
            raise UserError("boxes of another data set")
        assert folder.exists() == stays


def test_replacing_is_said_once_when_it_happens(tmp_path, capsys):
    from paddle_pose.commands.evaluate import _Folder

    (tmp_path / "scores.json").write_text("{}")
    with _Folder(tmp_path) as folder:
        assert capsys.readouterr().out == ""
        assert folder.replacing() == folder.replacing() == tmp_path
    assert capsys.readouterr().out.count("replacing the evaluation of") == 1
