"""The chart, rendered by Helm's own code, and the schemas that Kubernetes and its extensions have for the result."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

CHART: Final = Path("deploy/helm/ocrvl")
EXAMPLES: Final = sorted(Path("deploy/helm/examples").glob("*.yaml"))
KUBERNETES: Final = ("1.34.0", "1.35.0", "1.36.0", "1.37.0")
"""The last four versions that `kubernetes-validate` has."""

_EXTENSIONS: Final = Path("tests/support/schemas")

Manifest = dict[str, Any]


def load_values(example: Path) -> dict[str, Any]:
    """The values of an example."""
    values: dict[str, Any] = yaml.safe_load(example.read_text("utf-8"))
    return values


def render(values: Mapping[str, Any]) -> list[Manifest]:
    """What a release `demo` in the namespace `ocr` consists of. Raises `helm_python.HelmError`."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(dict(values), name="demo", namespace="ocr")
    texts = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def find(manifests: list[Manifest], kind: str, name: str = "demo-ocrvl") -> Manifest:
    """The one manifest of this kind and name."""
    (found,) = (one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def problems(manifest: Manifest, version: str) -> list[str]:
    """What is wrong with a manifest, for a version of Kubernetes and the extensions; unknown keys are wrong."""
    validator = _validator(manifest["apiVersion"], manifest["kind"], version)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(manifest)]


@cache
def _validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    group, _, of_group = api_version.rpartition("/")
    extension = _EXTENSIONS / f"{kind}-{group}-{of_group}.json"
    if extension.is_file():
        return Draft202012Validator(json.loads(extension.read_text("utf-8")))
    short = re.sub(r"\..*", "", group)
    name = "-".join(part for part in (kind.lower(), short, of_group) if part)
    schema = json.loads((_schemas(version) / f"{name}.json").read_text("utf-8"))
    return Draft202012Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> Any:
    definitions = json.loads((_schemas(version) / "_definitions.json").read_text("utf-8"))
    return Registry().with_resource(definitions["$id"], Resource.from_contents(definitions, DRAFT202012))


def _schemas(version: str) -> Path:
    return Path(str(files("kubernetes_validate"))) / f"kubernetes-json-schema/v{version}-local-strict"
