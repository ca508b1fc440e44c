"""AWS Signature Version 4, made by the code of AWS itself.

botocore is imported by the first request that is signed: a sender without an account at AWS spares
itself 50 ms and 7 MiB.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.providers.interface import AwsSignature, HttpRequest


def signed(request: HttpRequest, signature: AwsSignature) -> Mapping[str, str]:
    """Return the headers of a request with its signature among them; it holds for five minutes from now.

    All of them are signed but `user-agent`, and `host` as it follows from the address. An answer to
    another address, method or body would be 403.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - see above
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - see above
    from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415 - see above

    credentials = ReadOnlyCredentials(
        signature.access_key_id.reveal(),
        signature.secret_access_key.reveal(),
        signature.session_token.reveal() if signature.session_token else None,
    )
    unsigned = AWSRequest(request.method, request.url, request.headers, request.body)
    SigV4Auth(credentials, signature.service, signature.region).add_auth(unsigned)
    return dict(unsigned.headers)
