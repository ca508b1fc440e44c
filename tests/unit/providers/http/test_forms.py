from __future__ import annotations

from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.policy import HTTP

from shared.providers.http.forms import FormFile, multipart_form

FILE = FormFile("message", "message.eml", "message/rfc822", b"Subject: x\r\n\r\n--form_1\r\nnot a part\r\n")


def parts_of(media_type: str, body: bytes) -> list[MIMEPart]:
    form = BytesParser(EmailMessage, policy=HTTP).parsebytes(f"Content-Type: {media_type}\r\n\r\n".encode() + body)
    return list(form.iter_parts())


def test_fields_come_in_their_order_and_may_repeat() -> None:
    parts = parts_of(*multipart_form("1", [("to", "a@x.test"), ("to", "b@x.test"), ("o:tag", "t")], FILE))

    named = [(part.get_param("name", header="content-disposition"), part.get_payload()) for part in parts[:-1]]
    assert named == [("to", "a@x.test"), ("to", "b@x.test"), ("o:tag", "t")]


def test_a_file_has_its_name_its_type_and_its_own_bytes() -> None:
    media_type, body = multipart_form("1", [], FILE)

    boundary = media_type.partition('"')[2].rstrip('"').encode()
    head, _, content = body.partition(b"\r\n\r\n")
    assert head.splitlines() == [
        b"--" + boundary,
        b'Content-Disposition: form-data; name="message"; filename="message.eml"',
        b"Content-Type: message/rfc822",
    ]
    assert content == FILE.content + b"\r\n--" + boundary + b"--\r\n"


def test_no_boundary_occurs_in_the_file() -> None:
    media_type, _ = multipart_form("1", [], FILE)

    assert media_type == 'multipart/form-data; boundary="form_1_"'


def test_the_same_form_has_the_same_bytes() -> None:
    assert multipart_form("1", [("a", "b")], FILE) == multipart_form("1", [("a", "b")], FILE)
