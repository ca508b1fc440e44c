"""The interface's own description, OpenAPI 3.1: made from what reads requests, problems and answers, never beside it.

The law of this folder: it describes and decides nothing. Requests are described by the readers of
`schema`, problems by the table of their types; what is answered is defined here, and tests hold
real answers against it.
"""

from services.frontend.openapi.document import DEFINITIONS, document

__all__ = ["DEFINITIONS", "document"]
