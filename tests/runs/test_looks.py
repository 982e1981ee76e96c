"""The ledger of looks: numbers, overlaps, and what kills and other processes do to it."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import process_environment

from fancnn.data.seen_images import Hashes
from fancnn.errors import UserError
from fancnn.runs.looks import Ledger, Looks, Question


def at(*numbers: int) -> Hashes:
    return np.array(numbers, np.uint64)


def asked(model: str, claim: str | None = None, scores: str = "", **more: object) -> Question:
    return Question("evaluate", model, scores or f"scores of {model}", claim, **more)  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "looks")


A, B = at(1, 2, 3), at(7, 8)


def numbers(ledger: Ledger, *questions: tuple[Question, Hashes]) -> list[int]:
    return [ledger.record(question, images).number for question, images in questions]


def test_each_model_takes_the_next_number_and_keeps_it(ledger: Ledger) -> None:
    assert numbers(ledger, (asked("m"), A), (asked("n"), A), (asked("m"), A), (asked("o"), A)) == [1, 2, 1, 3]
    looks = ledger.known(asked("n"), A)
    assert (looks.before, looks.models, looks.later, looks.again, looks.alone) == (1, 1, 1, True, False)
    assert [look.question.model for look in looks.others] == ["m", "m", "o"]


def test_the_first_claim_on_a_model_is_asked_under_its_number_and_each_further_one_under_the_next(
    ledger: Ledger,
) -> None:
    questions = [asked("m"), asked("n"), asked("m", "1 %"), asked("m", "2 %"), asked("m", "1 %"), asked("n", "2 %")]
    assert numbers(ledger, *((question, A) for question in questions)) == [1, 2, 1, 3, 1, 2]


def test_a_model_that_was_certified_first_is_no_new_look_when_it_is_scored(ledger: Ledger) -> None:
    assert numbers(ledger, (asked("m", "1 %"), A), (asked("m"), A), (asked("n"), A)) == [1, 1, 2]


def test_images_that_share_none_have_ledgers_of_their_own(ledger: Ledger) -> None:
    assert numbers(ledger, (asked("m"), A), (asked("n"), B), (asked("o"), B)) == [1, 1, 2]
    both = ledger.known(asked("p"), at(3, 8, 9))
    assert (both.number, both.models, both.images, both.shared) == (4, 3, 3, 2)
    assert "they share 2 of the 3 images" in both.in_words()


def test_collecting_more_images_for_the_same_claim_is_a_new_look_each_time(ledger: Ledger) -> None:
    """So is leaving out those that refused it; a claim that allows for it keeps its number."""
    grown = [A, at(1, 2, 3, 4), at(1, 2, 3, 4, 5), at(1, 2)]
    assert numbers(ledger, *((asked("m", "1 %"), images) for images in grown)) == [1, 2, 3, 4]
    assert numbers(ledger, *((asked("s", "1 %", growing=True), images) for images in grown)) == [5, 5, 5, 5]


def test_a_table_and_a_checkpoint_with_the_same_results_are_one_model(ledger: Ledger) -> None:
    by_weights, by_table = asked("weights", scores="s"), asked("s", scores="s")
    assert numbers(ledger, (by_weights, A), (by_table, A), (asked("s", "1 %", scores="s"), A)) == [1, 1, 1]
    assert numbers(ledger, (asked("weights", "1 %", scores="elsewhere"), A)) == [1]


MODELS, CLAIMS = st.sampled_from("mnop"), st.sampled_from([None, "1 %", "2 %"])
SETS = st.sets(st.integers(1, 6), min_size=1)


@settings(max_examples=40)  # each writes to the disk
@given(st.lists(st.tuples(MODELS, CLAIMS), max_size=12))
def test_on_one_set_of_images_the_numbers_of_certificates_are_all_different(asked_for: list[tuple[str, str]]) -> None:
    """What spending rests on: no number, and so no part of the error probability, is used by two claims."""
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        found = [(model, claim, ledger.record(asked(model, claim), A).number) for model, claim in asked_for]
    claims = {(model, claim): number for model, claim, number in found if claim is not None}
    assert len(set(claims.values())) == len(claims)
    assert {number for *_, number in found} == set(range(1, len({number for *_, number in found}) + 1))
    of_model = {model: {number for name, _, number in found if name == model} for model, *_ in found}
    assert sum(map(len, of_model.values())) == len(set().union(*of_model.values())), "a number is of one model"


@settings(max_examples=40)  # each writes to the disk
@given(st.lists(st.tuples(MODELS, SETS), max_size=8), SETS)
def test_a_new_model_comes_after_every_model_that_met_one_of_its_images(
    looked: list[tuple[str, set[int]]], mine: set[int]
) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        for model, images in looked:
            ledger.record(asked(model), at(*sorted(images)))
        looks = ledger.known(asked("new"), at(*sorted(mine)))
    met = [(model, images) for model, images in looked if images & mine]
    assert looks.number == len({model for model, _ in met}) + 1
    assert looks.shared == len(set().union(*(images for _, images in met)) & mine)


def test_the_file_is_as_its_description_says(ledger: Ledger) -> None:
    ledger.record(asked("m"), A)
    ledger.record(asked("n", "1 %", alpha=0.05, planned=4), A)
    header, first, second = (json.loads(line) for line in (ledger.folder / "looks.jsonl").read_text().splitlines())
    assert header == {"format": "fancnn-looks", "version": 1}
    assert {"time", "command", "model", "scores", "claim", "alpha", "planned", "growing", "number"} <= set(first)
    assert (second["claim"], second["alpha"], second["planned"], second["number"]) == ("1 %", 0.05, 4, 2)
    (kept,) = (ledger.folder / "images").iterdir()  # each set once
    assert kept.name == f"{first['images']}.bin"
    assert np.frombuffer(kept.read_bytes(), ">u8").tolist() == [1, 2, 3]


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_line_that_a_kill_cut_short_is_passed_over_and_taken_off(ledger: Ledger, cut: int) -> None:
    numbers(ledger, (asked("m"), A), (asked("n"), A))
    file = ledger.folder / "looks.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    assert ledger.record(asked("o"), A).number == 2
    assert [look.question.model for look in ledger.looks()] == ["m", "o"]


def test_a_header_that_a_kill_cut_short_is_no_damage(ledger: Ledger) -> None:
    ledger.folder.mkdir()
    (ledger.folder / "looks.jsonl").write_text('{"format": "fan')
    assert ledger.record(asked("m"), A).number == 1
    assert len(ledger.looks()) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"model"', '"modle"', 1),
        lambda text: text.replace('"number": 1', '"number": "1"'),
        lambda text: text.replace("{", "", 2),
        lambda text: text.split("\n", 1)[1],
        lambda text: "\0" * 50 + "\n" + text,
        lambda text: "[]\n" + text,
    ],
)
def test_a_damaged_ledger_is_said_and_not_taken_for_empty(ledger: Ledger, damage: object) -> None:
    ledger.record(asked("m"), A)
    file = ledger.folder / "looks.jsonl"
    file.write_text(damage(file.read_text()))  # type: ignore[operator]
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"looks.jsonl is damaged in line \d: .*Bring it back from a backup"):
        ledger.record(asked("n"), A)
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"12345678"])
def test_images_that_are_missing_or_damaged_are_said(ledger: Ledger, content: bytes | None) -> None:
    ledger.record(asked("m"), A)
    (kept,) = (ledger.folder / "images").iterdir()
    kept.unlink() if content is None else kept.write_bytes(content)
    with pytest.raises(UserError, match=".bin is missing or damaged"):
        ledger.known(asked("n"), A)


def test_a_ledger_of_a_newer_fancnn_is_left_alone(ledger: Ledger) -> None:
    ledger.folder.mkdir()
    (ledger.folder / "looks.jsonl").write_text('{"format": "fancnn-looks", "version": 2}\n')
    with pytest.raises(UserError, match="has format version 2; this fancnn reads up to 1: update it"):
        ledger.record(asked("m"), A)


def test_a_question_that_fails_is_no_look(ledger: Ledger) -> None:
    with pytest.raises(UserError, match="no NG"), ledger.asking(asked("m", "1 %"), A):
        raise UserError("no NG parts")
    assert ledger.looks() == []
    assert ledger.record(asked("n"), A).number == 1


APPEND = """
import sys
from pathlib import Path
import numpy as np
from fancnn.runs.looks import Ledger, Question
folder, name = Path(sys.argv[1]), sys.argv[2]
for i in range(25):
    Ledger(folder).record(Question("train", f"{name}{i}", f"{name}{i} scores"), np.array([1, 2], np.uint64))
"""


def test_two_processes_that_look_at_once_leave_every_look_with_a_number_of_its_own(ledger: Ledger) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", APPEND, ledger.folder, name], env=process_environment())
        for name in ("a", "b")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    looks = ledger.looks()
    assert sorted(look.number for look in looks) == list(range(1, 51))
    assert len({look.question.model for look in looks}) == 50


def test_what_metrics_json_has_is_read_back_and_lists_no_more_than_fifty(ledger: Ledger) -> None:
    for index in range(60):
        ledger.record(asked(f"model {index}"), A)
    looks = ledger.record(asked("m"), A)
    plain = json.loads(json.dumps(looks.to_dict()))
    assert (plain["number"], plain["others"], len(plain["earlier"])) == (61, 60, 50)
    assert plain["earlier"][-1] == {
        "time": looks.others[-1].time,
        "command": "evaluate",
        "model": "model 59",
        "claim": None,
    }
    assert Looks.from_dict(plain).in_words() == looks.in_words()
