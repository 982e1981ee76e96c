"""What the README says is what happens."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from samples import REPOSITORY, run_command, write_images

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("#")[0].split("&&")[-1].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if "python -m fancnn" in line
]
COMMANDS += re.findall(r"`(python -m fancnn\.[^`]*)`", README)
# what makes a training of minutes one of seconds, and leaves everything else as the README has it
QUICK = ["trainer.max_epochs=1", "data.image_size=[16,16]", "data.fans.count=16", "data.fans.size=48"]
QUICKER = {
    "fancnn.train": QUICK,
    "fancnn.crossval": QUICK,
    "fancnn.size": [*QUICK, "reductions=[1,1.2]"],
    "fancnn.lr_find": [*QUICK, "steps=20"],
    "fancnn.pretrain": ["trainer.max_epochs=1", "data.image_size=[32,32]"],
    "fancnn.explain": ["images=1", "filters=1", "check=false"],
    "fancnn.prune": ["epochs=1"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images that the README speaks of, a finished run, another one and a cross-validation."""
    folder = tmp_path_factory.mktemp("readme")
    write_images(folder / "photos", {"100": 10, "60": 10})
    write_images(folder / "photos2", {"GO": 4, "NG": 4})
    write_images(folder / "new/images", {".": 3})
    answer = run_command("fancnn.train", *QUICK, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    (run,) = (folder / "outputs/train").iterdir()
    shutil.copytree(run, run.with_name("other"))
    shutil.copy(run / "predictions.csv", folder)
    answer = run_command("fancnn.export", f"run={run}", "output=inspector.onnx", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    answer = run_command("fancnn.crossval", *QUICK, "folds=3", "hydra.run.dir=outputs/crossval/folds", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return folder


def runnable(command: str, place: Path) -> list[str]:
    stamp = sorted(path.name for path in (place / "outputs/train").iterdir() if (path / "metrics.json").is_file())[0]
    written = (
        command.replace("crossval/<stamp>", "crossval/folds").replace("<other>", "other").replace("<stamp>", stamp)
    )
    written = (
        written.replace("/photos", "photos")
        .replace("/new", "new")
        .replace("DIR", "set")
        .replace("count=400", "count=2")
        .replace("count=600", "count=12")
    )
    words = shlex.split(written)[2:]
    quick = QUICKER.get(words[0], [])
    if "experiment=" in command:  # a recipe's network does not take images as small as that
        quick = [item.replace("16,16", "32,32") for item in quick]
    if command == "python -m fancnn.benchmark":  # all of it takes ten minutes; its own test measures every part
        return [*words, "parts=[machine]"]
    if "ckpt=" in command:  # the run's own settings are kept; there must be an epoch left to train
        return [*words, "trainer.max_epochs=2"]
    return words + [item for item in quick if item.split("=")[0] not in command]


# `mine` is written below, and a server does not end: tests/serve
@pytest.mark.slow
@pytest.mark.parametrize(
    "command", sorted({command for command in COMMANDS if "mine" not in command and "fancnn.serve" not in command})
)
def test_every_command_of_the_readme_runs(command: str, place: Path) -> None:
    answer = run_command(*runnable(command, place), cwd=place)
    # few images prove nothing
    unproven = {"fancnn.certify run": 1, "fancnn.compare": 3}
    expected = next((code for name, code in unproven.items() if name in command), 0)
    assert answer.returncode == expected, answer.stderr
    assert answer.stdout


@pytest.mark.slow
def test_the_readmes_python_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    stamp = sorted(path.name for path in (place / "outputs/train").iterdir() if (path / "metrics.json").is_file())[0]
    monkeypatch.chdir(place)
    a, b = (str(place / f"new/images/00{i}.png") for i in range(2))
    names: dict[str, object] = {}
    exec(code.replace("<stamp>", stamp).replace("a.jpg", a).replace("b.png", b), names)
    assert len(names["results"].decisions) == 2  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_network_can_be_added_as_is_said_to_contributors(tmp_path: Path) -> None:
    contributing = (REPOSITORY / ".github/CONTRIBUTING.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"```yaml\n(network:.*?)```", contributing, re.DOTALL)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text(written.replace("MyNet", "ConvNet"))
    images = write_images(tmp_path / "images", {"GO": 8, "NG": 8})
    arguments = ["fancnn.train", "--config-dir", str(tmp_path), "model=mine", f"data.root={images}", *QUICK[:2]]
    answer = run_command(*arguments, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr


def test_the_image_of_the_tree_has_every_room() -> None:
    (tree,) = [block for block in BLOCKS if block.startswith("conf/")]
    rooms = [path.name for path in (REPOSITORY / "fancnn").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert all(f"{room}/" in tree for room in rooms)


def test_the_images_of_the_readme_are_there() -> None:
    for image in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", README):
        assert (REPOSITORY / image).is_file(), image
