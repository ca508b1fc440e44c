"""A certificate that nobody but the test trusts."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(directory: Path, *names: str) -> tuple[Path, Path]:
    """Return the files of a certificate for these subject alternative names, which is its own authority, and its key.

    Names are written as OpenSSL wants them: `DNS:localhost`, `IP:127.0.0.1`.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        # `.ci/run` installs it: what is skipped there would never be tested.
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("the openssl command makes the certificate")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=fake", "-addext", f"subjectAltName={','.join(names)}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a server needs to prove itself with the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
