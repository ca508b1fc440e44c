"""Every manifest is what the API server of each supported version takes, without a field that it would drop."""

from __future__ import annotations

import jsonschema_rs
import pytest

from tests.deploy.custom_resources import SCHEMAS
from tests.deploy.manifests import ALTERNATIVES, OVERLAYS, Manifest, Rendered

pytestmark = pytest.mark.deploy

#: The oldest that has all that is used, one between, and the newest whose definitions are at hand.
VERSIONS = ("1.30", "1.34", "1.37")
EVERYTHING = (*OVERLAYS, *ALTERNATIVES)


def label(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_manifest_fits_its_definition(name: str, version: str, overlays: dict[str, Rendered]) -> None:
    from kubernetes_validate import ValidationError, validate  # noqa: PLC0415 - not among the tools of other tests

    faults = []
    for manifest in overlays[name].manifests:
        if manifest["kind"] in SCHEMAS:
            continue
        try:
            validate(manifest, version, strict=True)
        except ValidationError as error:
            faults.append(f"{label(manifest)}: {error.message}")

    assert faults == []


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_custom_resource_fits_its_definition(name: str, overlays: dict[str, Rendered]) -> None:
    custom = [manifest for manifest in overlays[name].manifests if manifest["kind"] in SCHEMAS]

    assert [
        f"{label(manifest)}: {error.message} at {'/'.join(map(str, error.instance_path))}"
        for manifest in custom
        for error in jsonschema_rs.validator_for(SCHEMAS[manifest["kind"]]).iter_errors(manifest)
    ] == []


def test_every_kind_with_a_schema_of_ours_is_used(overlays: dict[str, Rendered]) -> None:
    used = {manifest["kind"] for rendered in overlays.values() for manifest in rendered.manifests}

    assert set(SCHEMAS) <= used
