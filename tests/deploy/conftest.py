"""The rendered overlays, and the image as its own steps make it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.containers import folder_for_anybody
from tests.deploy.image import Image
from tests.deploy.manifests import ALTERNATIVES, OVERLAYS, Rendered, copy_with_secrets, render, render_alternative


@pytest.fixture(scope="session")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendered]:
    copy = copy_with_secrets(tmp_path_factory.mktemp("manifests"))
    rendered = {name: Rendered(name, render(copy / "overlays" / name)) for name in OVERLAYS}
    return rendered | {name: Rendered(name, render_alternative(copy, name)) for name in ALTERNATIVES}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, overlays: dict[str, Rendered]) -> Rendered:
    """Each overlay in turn."""
    return overlays[request.param]


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    with folder_for_anybody() as folder:
        image = Image(folder)
        image.build()
        image.freeze()
        yield image
