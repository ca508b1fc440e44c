"""The server's side of AWS Signature V4."""

from __future__ import annotations

import pytest

from tests.fakes.internet.sigv4 import Account, SignatureFault, verify

#: `get-vanilla` of the test suite that AWS published for Signature V4; its instant is 2015-08-30 12:36:00 UTC.
ACCOUNT = Account("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service")
HEADERS = {
    "Host": "example.amazonaws.com",
    "X-Amz-Date": "20150830T123600Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
}
NOW = 1_440_938_160.0


class Headers(dict[str, str]):
    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]  # as a request's headers
        return next((value for key, value in self.items() if key.lower() == name.lower()), default)


def fault_of(headers: dict[str, str], *, method: str = "GET", now: float = NOW) -> str:
    try:
        verify(ACCOUNT, method, ("/", ""), Headers(headers), b"", now)
    except SignatureFault as fault:
        return fault.error
    return ""


def test_the_published_example_holds() -> None:
    assert fault_of(HEADERS) == ""


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Host": "other.amazonaws.com"}, "SignatureDoesNotMatch"),
        ({"X-Amz-Date": "20150830T123601Z"}, "SignatureDoesNotMatch"),
        ({"X-Amz-Security-Token": "token"}, "UnrecognizedClientException"),
        ({"Content-Type": "text/plain"}, "InvalidSignatureException"),
        ({"Authorization": ""}, "MissingAuthenticationToken"),
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, "IncompleteSignature"),
        ({"Authorization": HEADERS["Authorization"].replace("AKID", "AKIA")}, "UnrecognizedClientException"),
        ({"Authorization": HEADERS["Authorization"].replace("us-east-1", "us-east-2")}, "InvalidSignatureException"),
    ],
)
def test_what_was_changed_does_not_hold(change: dict[str, str], error: str) -> None:
    assert fault_of({**HEADERS, **change}) == error


def test_another_method_does_not_hold() -> None:
    assert fault_of(HEADERS, method="POST") == "SignatureDoesNotMatch"


@pytest.mark.parametrize("now", [NOW - 301, NOW + 301])
def test_another_time_does_not_hold(now: float) -> None:
    assert fault_of(HEADERS, now=now) == "InvalidSignatureException"
