"""Whatever stands in a configuration, a command says in words what is wrong with it, all at once."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from faults.config_mutations import Place, judge, mutations
from samples import compose_train, run_command

from fancnn import assembly
from fancnn.errors import UserError, collected
from fancnn.networks import ConvNet, ResidualNet
from fancnn.networks.sizes import training_bytes
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train
from fancnn.training.divergence import validate_finite


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place")).made()


@pytest.mark.slow
def test_every_wrong_value_ends_in_words(place: Place) -> None:
    """One of each kind for each command; `mutations` without `short` has all of them."""
    found = [(command, wrong[-1], judge(command, wrong)) for command, wrong in mutations(place.root, short=True)]
    bad = [(command, wrong, outcome.text) for command, wrong, outcome in found if outcome.kind in ("traceback", "hang")]
    assert not bad, bad[0]
    assert {outcome.kind for *_, outcome in found} == {"accepted", "refused"}
    for command, wrong, outcome in found:
        if wrong.startswith("+surprise"):
            assert "surprise" in outcome.text, command


WRONG = [
    ("+model.network._partial_=true", "model.network._partial_=true: it is made at once, and not for later; leave it"),
    ("model.optimizer._partial_=3", "model.optimizer._partial_=3: what it acts on is made later; say true"),
    ("++model.loss._args_=[1]", "model.loss._args_=[1] is no argument: say arguments by their names"),
    ("callbacks.history=3", "callbacks.history=3 should be a _target_ and its arguments"),
    ("callbacks.history=false", "callbacks.history=False should be a _target_ and its arguments"),
    ("callbacks.history=${model.loss}", "callbacks.history._target_='fancnn.training.losses.CrossEntropy' gives a "),
    ("logger.tensorboard=many", "logger.tensorboard=many should be a _target_ and its arguments"),
    ("model.loss=${model.network}", "model.loss: "),
    ("schedule._target_=torch.optim.SGD|~schedule.epochs_per_decade", "schedule: "),
    ("model.optimizer=${schedule}", "model.optimizer: "),
    ("model.optimizer.lr=inf", "model.optimizer: its first step is no number. Lower model.optimizer.lr"),
    ("+trainer.num_sanity_val_steps=2", "trainer.num_sanity_val_steps=2 would change nothing: data and model are"),
    ("+trainer.callbacks=[]", "trainer.callbacks=[] would change nothing: callbacks are given as +callbacks.NAME."),
    ("trainer.max_epochs=10000000", "trainer.max_epochs=10000000 should be a whole number, 1 or more, 1,000,000 at"),
    ("data.batch_size=1000000000", "data.batch_size=1000000000 should be 1 or more, 65,536 at most"),
    (
        "data.mean=[nan,0,0]",
        "data.mean=[nan, 0.0, 0.0] std=[1.0, 1.0, 1.0]: expected three numbers each",
    ),
    ("data.root='~nobody-at-all/x'", "nobody of that name has a home folder on this computer"),
    ("model.network.hidden=[1000000000]", "hidden must be 1,048,576 at most"),
    ("model=residual|model.network.depths=100000", "depths=100000 gives 300,000 blocks: 1,000 at most"),
    ("data.fans.count=1000000000|data.root=null", "data.fans.count=1000000000 is out of range: expected from 1 to"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("wrong", "text"), WRONG, ids=[wrong for wrong, _ in WRONG])
def test_nonsense_is_refused_by_its_key(wrong: str, text: str, place: Place) -> None:
    outcome = judge("train", [*place.good("train"), *wrong.split("|")], anew=True)
    assert outcome.kind == "refused", outcome
    assert text in outcome.text


SEVERAL = [
    ("train", ["seed=-1", "data.batch_size=many", "model.optimizer.lr=-1", "+model.filters=3", "monitor=val/los"], 5),
    ("pretrain", ["data.batch_size=0", "data.val_fraction=2", "model.optimizer.lr=-1", "+task.noize=1"], 4),
    ("predict", ["run=nowhere", "input=nothing", "line.ng_rate=2"], 3),
    ("serve", ["port=99999", "token=short", "limits.files=0", "limits.queue=some"], 4),
    ("certify", ["escape=2", "confidence=sure", "looks=0", "run=nowhere"], 4),
    ("fans", ["count=-1", "size=1", "seed=-3"], 3),
]


@pytest.mark.parametrize(("command", "wrong", "count"), SEVERAL, ids=[command for command, *_ in SEVERAL])
def test_all_mistakes_are_named_at_once(command: str, wrong: list[str], count: int, place: Place) -> None:
    outcome = judge(command, [*place.good(command), *wrong], anew=True)
    first, *lines = outcome.text.splitlines()
    assert first == f"{count} mistakes:", outcome
    assert len(lines) == count
    for item in wrong:
        key, _, value = item.lstrip("+").partition("=")
        assert any(key.rpartition(".")[2] in line or value in line for line in lines), item


@pytest.mark.slow
def test_a_command_prints_its_mistakes_line_by_line(tmp_path: Path) -> None:
    answer = run_command("fancnn.predict", "input=nothing", "output=.", "lin.ng_rate=2", cwd=tmp_path)
    assert answer.stderr.splitlines()[1].strip() == (
        "lin.ng_rate=2: predict has no key lin.ng_rate. Did you mean line.ng_rate?"
    )
    assert "input=nothing is no file, no folder" in answer.stderr, "what is wrong beside an unknown key is told, too"
    answer = run_command("fancnn.predict", "input=nothing", "output=.", "line.ng_rate=2", cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[0] == "4 mistakes:"
    assert "Traceback" not in answer.stderr
    assert not list(tmp_path.glob("outputs/*/*")), "no empty run is left"


def test_one_mistake_is_said_as_it_is_and_twice_is_once() -> None:
    def refuse(text: str) -> None:
        raise UserError(text)

    def both(first: str, second: str) -> None:
        with collected() as check:
            check(lambda: refuse(first))
            refuse(second)

    with pytest.raises(UserError, match="^a=0 should be above 0$"):
        both("a=0 should be above 0", "what.refers.to.a: a=0 should be above 0")
    with pytest.raises(UserError, match="^2 mistakes:\n  one\n  two$"):
        both("one", "two")


def test_a_key_that_is_none_is_told_the_one_that_was_meant(place: Place) -> None:
    outcome = judge("train", [*place.good("train"), "+data.rot=/photos"])
    assert outcome.text == "configuration: data.rot: Key 'rot' not in 'DataSettings'. Did you mean root?"


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ("basic|data.image_size=[4096,4096]", "would take about 71 GB to train on 1 at a time, and there are 16 GB"),
        ("basic|model.network.filters=[1000000,1000000]", "would take about .* GB"),
    ],
)
def test_a_network_beyond_the_memory_is_refused_before_it_is_made(
    network: str, text: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "memory_bytes", lambda: 16 * 10**9)
    model, size = network.split("|")
    with pytest.raises(UserError, match=re.compile(f"model.network .*{text}", re.DOTALL)):
        assembly.check(compose_train(place.root, f"model={model}", size, f"data.root={place.root}/images"))


def test_the_memory_of_a_training_is_that_of_weights_and_of_what_layers_give() -> None:
    tiny = training_bytes(lambda: ConvNet((16, 16), filters=(4,), hidden=()), (16, 16), batch=2)
    values = 4 * 14 * 14 + 4 * 7 * 7 * 3 + 1  # convolution; pool, ReLU and flatten; logit
    assert tiny == 8 * (4 * 3 * 9 + 4 + 4 * 49 + 1) + 2 * 2 * values
    assert training_bytes(lambda: ResidualNet((512, 512)), (512, 512), 1) > 8 * 307_329


@pytest.mark.parametrize("wrong", [["model.optimizer.lr=1e30"], ["optimizer=sgd", "model.optimizer.lr=1e8"]], ids=str)
def test_a_training_that_diverges_ends_in_words_and_keeps_no_such_weights(
    wrong: list[str], train_settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="^training diverged in epoch 1: the network's weig"):
        train(train_settings(*wrong, "callbacks.dynamics=null", "callbacks.samples=null"))
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("metrics.*"))


def test_infinite_weights_and_results_are_refused() -> None:
    layer = torch.nn.Linear(1, 1)
    validate_finite("training", 1, layer, torch.zeros(1))
    with pytest.raises(UserError, match="training diverged in epoch 2: "):
        validate_finite("training", 2, layer, torch.tensor([float("nan")]))
    torch.nn.init.constant_(layer.weight, float("inf"))
    with pytest.raises(UserError, match="Lower model.optimizer.lr"):
        validate_finite("training", 2, layer)
