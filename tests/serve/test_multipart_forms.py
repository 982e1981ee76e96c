"""A form is whole, or refused: no file of it is lost, and nothing beside its files is let in."""

from collections.abc import Callable

import httpx2
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from fancnn.serve.inspector import File
from fancnn.serve.multipart_forms import files_of_form
from fancnn.serve.request_validation import Refused

TYPE = "multipart/form-data; boundary=b-1"
NAMED = b'Content-Disposition: form-data; name="files"; filename="a.png"'

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters='"\\'), min_size=1)
# much of what a boundary is made of, and whatever else
contents = st.one_of(
    st.binary(max_size=40), st.lists(st.sampled_from([b"\r", b"\n", b"--", b"b-1", b"x"])).map(b"".join)
)


def form(*parts: tuple[bytes, bytes], end: bytes = b"--b-1--\r\n") -> bytes:
    return b"".join(b"--b-1\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) + end


def refusal(body: bytes, most_files: int = 4) -> Refused:
    with pytest.raises(Refused) as found:
        files_of_form(body, TYPE, most_files)
    return found.value


@given(st.lists(st.tuples(names, contents), min_size=1, max_size=4))
def test_what_a_client_encodes_comes_out_whole_and_in_order(sent: list[tuple[str, bytes]]) -> None:
    request = httpx2.Request("POST", "http://a", files=[("files", file) for file in sent])
    found = files_of_form(request.read(), request.headers["content-type"], 4)
    assert [file.content for file in found] == [content for _, content in sent]
    assert [file.name for file in found] == [name[:200] for name, _ in sent]


@settings(max_examples=30)
@given(st.lists(contents.filter(lambda content: b"\r\n--b-1" not in content), min_size=2, max_size=4))
def test_a_form_cut_at_any_byte_is_refused(sent: list[bytes]) -> None:
    whole = form(*((NAMED, content) for content in sent))
    assert [file.content for file in files_of_form(whole, TYPE, 4)] == sent
    assert len(files_of_form(whole[:-2], TYPE, 4)) == len(sent), "the last new line may be missing"
    assert {refusal(whole[:cut]).status for cut in range(len(whole) - 2)} == {400}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "does not begin with its boundary"),
        (b"hello\r\n" + form((NAMED, b"x")), 400, "does not begin with its boundary"),
        (form((NAMED, b"x"), end=b""), 400, "closing boundary is missing"),
        (form((NAMED, b"x"), end=b"--b-1"), 400, "closing boundary is missing"),
        (form((NAMED, b"x")) + b"more", 400, "bytes behind the closing boundary"),
        (form((NAMED, b"x")) + form((NAMED, b"y")), 400, "part 2: expected a new line after the boundary"),
        (form((NAMED, b"x\r\n--b-1y")), 400, "part 2: expected a new line after the boundary"),
        (form((NAMED + b"\r\n" + NAMED, b"x")), 400, "part 1: it has the header content-disposition twice"),
        (form((NAMED + b"\r\n folded: 1", b"x")), 400, "no `Name: value`"),
        (form((NAMED + b"\r\nX: " + b"y" * 9_000, b"x")), 400, "more than 8,192 bytes"),
        (form((b"", b"x")), 400, "expected the header `Content-Disposition: form-data; name=...`"),
        (form((NAMED.replace(b"form-data", b"attachment"), b"x")), 400, "expected the header `Content-Disposition"),
        (form((NAMED, b"x"), (b'Content-Disposition: form-data; name="lot"', b"7")), 422, "part 2 of the form has no"),
        (form(*[(NAMED, b"x")] * 5), 413, "at most 4 are taken"),
        (form(), 422, "a form without files"),
    ],
)
def test_what_is_no_form_of_whole_files_is_refused(body: bytes, status: int, text: str) -> None:
    found = refusal(body)
    assert (found.status, text in str(found)) == (status, True), str(found)


@pytest.mark.parametrize("boundary", ["", '""', '"b 1 "', "ä", "b" * 71, "b; x=" + '";' * 5_000])
def test_a_boundary_is_as_the_standard_has_it(boundary: str) -> None:
    with pytest.raises(Refused, match="boundary") as found:
        files_of_form(form((NAMED, b"x")), f"multipart/form-data; boundary={boundary}", 4)
    assert found.value.status == 400


def test_as_many_files_as_are_taken_are_taken_and_their_names_are_text() -> None:
    odd = NAMED.replace(b"a.png", b'\xff\xed\xa0\x80\\"' + b"a" * 300)
    found = files_of_form(form(*[(odd + b"\r\nContent-Type: image/png; charset=utf-99", b"x")] * 4), TYPE, 4)
    assert len(found) == 4
    assert found[0] == File(("\ufffd" * 4 + '"' + "a" * 300)[:200], b"x")


@pytest.mark.parametrize("charset", ["utf-99", "utf-7", "unicode_escape", "undefined", "hex", "punycode"])
def test_no_charset_makes_a_fault_of_the_server(client: Callable[..., TestClient], charset: str) -> None:
    body = form((NAMED.replace(b"a.png", b"\\ud800+2AA-.png"), b"x"))
    answer = client().post("/predict", content=body, headers={"Content-Type": f"{TYPE}; charset={charset}"})
    assert (answer.status_code, answer.json()["reason"][:12]) == (415, "not an image")


def test_a_form_that_was_cut_is_decided_in_no_part(client: Callable[..., TestClient], encoded_image: bytes) -> None:
    service = client()
    whole = form((NAMED, encoded_image), (NAMED, encoded_image))
    answers = [
        service.post("/predict", content=whole[:cut], headers={"Content-Type": TYPE})
        for cut in (len(whole), len(whole) - len(encoded_image) // 2)
    ]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert len(answers[0].json()["images"]) == 2
    assert "closing boundary is missing" in answers[1].json()["reason"]
    lines = service.get("/metrics").text.splitlines()
    decided = [float(line.split()[-1]) for line in lines if line.startswith("fancnn_images_total")]
    assert sum(decided) == 2, "nothing of the second was decided"


def test_two_content_types_are_none(client: Callable[..., TestClient], encoded_image: bytes) -> None:
    headers = [("Content-Type", "image/png"), ("Content-Type", TYPE)]
    answer = client().post("/predict", content=encoded_image, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "two content types: expected one")
