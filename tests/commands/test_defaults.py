"""Commands without data or weights: what is taken, what is said, what is rendered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from places import ROOT, TINY

import export
import train
import val
from paddle_pose import configs
from paddle_pose.commands import defaults
from paddle_pose.errors import UserError
from paddle_pose.files import sha256
from paddle_pose.porting import download
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.synthetic import dataset
from paddle_pose.system import runtime

RECIPE = "quickstart:newell_hg1_synthetic"
COCO = "hrnet:w32_coco_256x192"
NAME = "mmpose_hrnet_w32_mpii_256x256"


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(defaults.PARENT, raising=False)


@pytest.fixture
def run(monkeypatch, capsys):
    """Exit code and output of a script; all in this process."""

    def call(door, *words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{door.__name__}.py", *map(str, words)])
        code = 0
        try:
            door.main()
        except SystemExit as stop:
            code = stop.code
        done = capsys.readouterr()
        return code, done.out, done.err

    return call


def few(limit: int | None, config: str = RECIPE) -> Recipe:
    return configs.chosen(config, None, [f"data.limit={'null' if limit is None else limit}"])


def said(data) -> list[str]:
    return [fact.line() for fact in data.understood.facts]


@pytest.mark.parametrize(("config", "name"), [(RECIPE, "mpii"), (COCO, "coco")])
def test_the_usual_folder_is_taken_and_said(config, name, tmp_path, monkeypatch):
    recipe = configs.load(config)
    (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / name).mkdir(parents=True)
    found = defaults.data_for(recipe, None)
    assert (found.root, found.rendered) == (Path("data") / name, False)
    assert said(found) == [f"assumed: data: data/{name}, as --dataset_root names none"]
    assert defaults.data_for(recipe, Path("x")) == defaults.Data(Path("x"))
    monkeypatch.setenv(defaults.PARENT, str(tmp_path / "elsewhere"))
    assert defaults.data_for(recipe, None).root == tmp_path / "elsewhere" / name
    monkeypatch.setenv(defaults.PARENT, "/nowhere")
    with pytest.raises(UserError, match=rf"no /nowhere/{name} here.*PADDLE_POSE_DATA=/nowhere"):
        defaults.data_for(recipe, None)


@pytest.mark.parametrize("door", [train, val])
@pytest.mark.parametrize(
    ("config", "where"),
    [
        (RECIPE, "mpi-inf"),
        (COCO, "cocodataset.org"),
        ("mipnet:w48_crowdpose_384x288", "crowdpose_{train,val,trainval,test}.json of https://git"),
        ("mipnet:w48_ochuman_384x288", "python -m paddle_pose convert ochuman writes the rest"),
    ],
)
def test_without_data_one_line_says_how_to_get_them(run, tmp_path, door, config, where):
    weights = tmp_path / "w.pdparams"
    weights.touch()
    code, _, error = run(door, "--config", config, "--pretrained_model", weights, "--device", "cpu")
    assert code == 2
    assert error.count("\n") == 1
    assert error.startswith("error: no --dataset_root, and no data/")
    assert where in error
    rendered = config in (RECIPE, COCO)
    assert error.endswith("--dataset_root synthetic renders people on the spot\n") == rendered


def test_people_are_not_rendered_for_other_data_sets():
    with pytest.raises(UserError, match="people are rendered for mpii and coco alone"):
        defaults.data_for(configs.load("mipnet:w48_crowdpose_384x288"), Path("synthetic"))


def test_scoring_by_an_annotation_file_needs_no_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    recipe = configs.load("mipnet:w48_crowdpose_384x288")
    assert defaults.data_for(recipe, None, Path("mine/part.json")).root == Path("mine")


MISTAKES = {
    "--num_workers": ("-1", "must be from 0"),
    "--device": ("tpu", "not a device"),
    "--config": ("quickstart:nothing", "unknown recipe"),
    "--set": ("train.epoch=1", "did you mean 'train.epochs'"),
    "--dataset_root": ("nowhere", "nowhere: no such folder"),
    "--annotations": ("none.json", "none.json: no such file"),
    "--pretrained_model": ("none.pdparams", "none.pdparams: no such file"),
    "--gpus": ("x", "give different GPU numbers"),
}


@pytest.mark.parametrize("door", [train, val])
@pytest.mark.parametrize("option", MISTAKES)
def test_a_mistake_in_an_option_stands_alone(run, tmp_path, monkeypatch, door, option):
    monkeypatch.setattr(runtime, "_unsaid", ["=> runtime: threads"])
    (tmp_path / "w.pdparams").touch()
    (tmp_path / "data").mkdir()
    right = {"--config": COCO, "--pretrained_model": "w.pdparams", "--dataset_root": "data"}
    wrong, expected = MISTAKES[option]
    words = [word for pair in (right | {option: wrong}).items() for word in pair]
    code, out, error = run(door, *words)
    assert (code, out) == (2, "")
    assert expected in error
    assert error.count("\n") == 1


def test_rendered_once_and_again_when_something_is_gone(tmp_path, capsys):
    found = defaults.data_for(few(2), Path("synthetic"))
    assert found.root == Path("output/synthetic_mpii_first2")
    assert found.rendered
    assert said(found)[0].endswith("scores on them say nothing about photos")
    stamp = found.root / "synthetic.json"
    made = stamp.stat().st_mtime_ns
    assert "drawing" in capsys.readouterr().out
    defaults.data_for(few(2), Path("synthetic"))
    assert stamp.stat().st_mtime_ns == made
    assert capsys.readouterr().out == ""
    before = {file: sha256(file) for file in found.root.rglob("*.*")}
    next(iter((found.root / "images").iterdir())).unlink()
    defaults.data_for(few(2), Path("synthetic"))
    assert {file: sha256(file) for file in found.root.rglob("*.*")} == before
    facts = json.loads(stamp.read_text())
    stamp.write_text(json.dumps(facts | {"renderer_version": 0}))
    defaults.data_for(few(2), Path("synthetic"))
    assert json.loads(stamp.read_text()) == facts
    assert [path.name for path in Path("output").iterdir()] == ["synthetic_mpii_first2"]


def test_the_first_people_are_those_of_the_whole_set(tmp_path):
    sizes = {"train_people": 9, "val_people": 6, "progress": False}
    dataset.write_dataset(tmp_path / "whole", **sizes)
    dataset.write_dataset(tmp_path / "few", **sizes, first=4)
    for split in ("train", "valid"):
        whole, few = (
            json.loads((tmp_path / name / f"annot/{split}.json").read_text())
            for name in ("whole", "few")
        )
        assert 4 <= len(few) < 7  # whole pictures, of three people at most
        assert few == whole[: len(few)]
    for file in (tmp_path / "few/images").iterdir():
        assert file.read_bytes() == (tmp_path / "whole/images" / file.name).read_bytes()


def test_a_folder_called_synthetic_wins_and_that_is_said(tmp_path):
    (tmp_path / "synthetic").mkdir()
    found = defaults.data_for(few(2), Path("synthetic"))
    assert (found.root, found.rendered) == (Path("synthetic"), False)
    assert said(found) == ["assumed: data: the folder of that name; no people are rendered"]


def test_all_people_where_there_is_no_limit(monkeypatch):
    asked = {}
    monkeypatch.setattr(dataset, "write_dataset", lambda root, **named: asked.update({root: named}))
    for limit in (None, 800, 801):
        assert defaults.data_for(few(limit), Path("synthetic")).root.name == "synthetic_mpii"
    assert asked == {Path("output/synthetic_mpii"): {"layout": "mpii", "first": None}}


def test_a_recipe_that_nothing_names_is_said(run, tmp_path, monkeypatch):
    assert defaults.recipe_named(few(2), RECIPE, None) == defaults.NOTHING
    assert defaults.recipe_named(few(2), None, 256) == defaults.NOTHING
    (line,) = defaults.recipe_named(few(2), None, None).facts
    assert line.line() == (
        "assumed: recipe: newell_hg1_synthetic, as neither --config nor --image_size names one"
    )
    (tmp_path / "data/mpii").mkdir(parents=True)
    assert "assumed: recipe: hourglass" in run(train, "--device", "cpu")[1]


def test_rendered_coco_people_need_no_detector():
    recipe = few(2, COCO)
    name, understood = defaults.benchmark_for(recipe, defaults.Data(Path("x"), rendered=True))
    assert recipe.benchmark(name).boxes == "ground_truth"
    assert understood.facts[0].line().startswith("assumed: benchmark: coco_val_ground_truth")
    assert defaults.benchmark_for(recipe, defaults.Data(Path("x")))[0] is None
    rendered = defaults.Data(Path("x"), rendered=True)
    assert defaults.benchmark_for(few(2), rendered)[0] is None


@pytest.mark.parametrize(
    ("config", "changes", "layout"),
    [
        (RECIPE, [*TINY], "mpii"),
        (COCO, ["model.width=4", "data.image_size_wh=[64, 64]", "train.batch_size=2"], "coco"),
    ],
)
def test_train_then_val_in_an_empty_folder(run, config, changes, layout):
    words = ("--config", config, "--dataset_root", "synthetic", "--device", "cpu")
    words += ("--num_workers", 0, "--set", *changes, "data.limit=2")
    code, out, error = run(val, *words)
    assert code == 2
    assert "no weights: give --pretrained_model FILE" in error
    assert not Path("output").exists()  # before anything is rendered
    code, out, error = run(train, *words, "train.epochs=1")
    assert code == 0, error
    assert f"rendered people in output/synthetic_{layout}_first2; scores on them say noth" in out
    folder = Path("output") / config.partition(":")[2]
    kept = json.loads((folder / "record.json").read_text())["data"]["understood"]["chosen"]["data"]
    assert kept == {"value": f"output/synthetic_{layout}_first2", "source": "rendered"}
    code, out, error = run(val, *words)
    assert code == 0, error
    best = folder / "best_model/model.pdparams"
    assert f"assumed: weights: {best}, the best of this recipe's own run\n" in out
    assert "scores on them say nothing about photos" in out
    scores = json.loads(next(folder.glob("eval_*/scores.json")).read_text())
    assert scores["understood"]["weights"] == {"value": str(best), "source": "assumed"}
    assert scores["understood"]["data"]["source"] == "rendered"
    assert scores["weights_sha256"] == sha256(best)


def test_a_run_of_other_values_is_said(run):
    recipe = configs.load(RECIPE)
    folder = Path("output") / recipe.name
    (folder / "best_model").mkdir(parents=True)
    (folder / "best_model/model.pdparams").touch()
    other = replace(recipe, model=replace(recipe.model, features=8, joints=5))
    from paddle_pose.recipes.recipe import dump_yaml

    (folder / "recipe.yaml").write_text(dump_yaml(other), encoding="utf-8")
    (line,) = said(defaults.own_weights(recipe))
    assert line.endswith(
        f"own run; model.features was 8, is 96: --config {folder}/recipe.yaml takes the run's"
    )


def test_two_processes_render_one_set():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from paddle_pose.synthetic.dataset import write_dataset;"
        "write_dataset(Path('output/set'), train_people=4, val_people=2, workers=1)"
    )
    start = [sys.executable, "-c", code, str(ROOT)]
    both = [subprocess.Popen(start, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("drawing" in text for text in said) == 1
    assert [path.name for path in Path("output").iterdir()] == ["set"]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The published weights of a name at a local server, and a cache of their own."""
    content = b"x" * 5000
    served = tmp_path / "served"
    served.mkdir()
    (served / "w.pth").write_bytes(content)
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *given):
            super().__init__(*given, directory=served)

        def log_message(self, *_):
            requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    rows = download.published_weights()
    place = next(index for index, row in enumerate(rows) if row.name == NAME)
    rows[place] = replace(
        rows[place],
        url=f"http://127.0.0.1:{server.server_port}/w.pth",
        file="w.pth",
        sha256_prefix=sha256(served / "w.pth")[:8],
    )
    monkeypatch.setattr(download, "published_weights", lambda: rows)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    monkeypatch.setenv("PADDLE_POSE_CACHE", str(tmp_path / "cache"))
    yield requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_published_name_is_fetched_once(published, tmp_path):
    for _ in range(2):
        found = defaults.weights_named(NAME)
        assert found.file == tmp_path / "cache" / NAME / "w.pth"
        assert found.recipe == "hrnet:w32_mpii_256x256"
        assert said(found)[0].startswith(f"=> weights: {NAME}, published for hrnet:w32_mpii_256")
    assert len(published) == 1


def test_a_file_of_that_name_wins(published, tmp_path):
    (tmp_path / NAME).touch()
    found = defaults.weights_named(NAME)
    assert (found.file, found.recipe, published) == (Path(NAME), None, [])
    assert said(found) == [
        f"assumed: weights: the file {NAME} here, not the published weights of that name"
    ]


def test_offline_one_line_says_where_the_file_goes(published, tmp_path, monkeypatch):
    shutil.rmtree(tmp_path / "served")
    rows = download.published_weights()
    place = next(index for index, row in enumerate(rows) if row.name == NAME)
    rows[place] = replace(rows[place], url="http://127.0.0.1:9/w.pth")
    with pytest.raises(UserError) as refused:
        defaults.weights_named(NAME)
    assert "http://127.0.0.1:9/w.pth: broke off" in str(refused.value)
    assert str(refused.value).endswith(f"or put the file at {tmp_path}/cache/{NAME}/w.pth by hand")


@pytest.mark.parametrize(
    ("door", "option", "more"),
    [
        (train, "--pretrained_model", ()),
        (val, "--pretrained_model", ()),
        (export, "--weights", ("--output", "served")),
    ],
)
def test_every_door_takes_names_and_helps_with_wrong_ones(run, published, door, option, more):
    code, _, error = run(door, option, f"{NAME}x", *more)
    assert code == 2
    assert f"{option} {NAME}x: no such file, nor published weights of that name" in error
    assert f"did you mean '{NAME}'?" in error
    far = run(door, option, "zz", *more)[2]
    assert far.endswith("of that name; python -m paddle_pose port --list names them\n")
    assert run(door, option, "x/y.pth", *more)[2] == f"error: {option} x/y.pth: no such file\n"
    code, _, error = run(door, option, NAME, *more)
    assert code == 2  # no data, or no weights in that file: it was fetched and taken
    assert published == ["/w.pth"]
