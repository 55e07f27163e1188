"""JSON schemas out of CustomResourceDefinitions, small and strict enough to hold the chart to: tests/support/schemas.

    python -m tools.crd_schemas CRD.yaml … --out tests/support/schemas

Descriptions, status, and parts that the chart never writes are left out; what is unknown is refused, as a strict
Kubernetes does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

UNUSED: Final = {
    "InferenceService": (
        *("spec.canary", "spec.explainer", "spec.transformer", "spec.predictor.workerSpec"),
        *("spec.predictor.huggingface", "spec.predictor.lightgbm", "spec.predictor.onnx", "spec.predictor.paddle"),
        *("spec.predictor.pmml", "spec.predictor.pytorch", "spec.predictor.sklearn", "spec.predictor.tensorflow"),
        *(
            "spec.predictor.triton",
            "spec.predictor.xgboost",
            "spec.predictor.model",
            "spec.predictor.ephemeralContainers",
        ),
        "spec.predictor.logger",
    ),
    "LeaderWorkerSet": (
        "spec.leaderWorkerTemplate.leaderTemplate.spec.ephemeralContainers",
        "spec.leaderWorkerTemplate.workerTemplate.spec.ephemeralContainers",
    ),
}
"""Parts of a resource that the chart never writes."""


def main(
    crds: Annotated[list[Path], typer.Argument(metavar="CRD...", help="Files of one definition each.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
) -> None:
    """Write a schema for each version that is served, as KIND-GROUP-VERSION.json."""
    for path in crds:
        definition = yaml.safe_load(path.read_text("utf-8"))["spec"]
        for version in definition["versions"]:
            if version["served"]:
                kind, group = definition["names"]["kind"], definition["group"]
                schema = make_strict(version["schema"]["openAPIV3Schema"])
                schema["properties"].pop("status", None)
                for part in UNUSED.get(kind, ()):
                    _drop(schema, part.split("."))
                target = out / f"{kind}-{group}-{version['name']}.json"
                target.write_text(json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n", "utf-8")
                print(target, target.stat().st_size)


def make_strict(node: Any) -> Any:
    """A schema of Kubernetes' kind as JSON Schema that refuses what it does not know, without its descriptions.

    >>> make_strict({"type": "object", "description": "x", "properties": {"a": {"type": "string", "nullable": True}}})
    {'type': 'object', 'properties': {'a': {'type': ['string', 'null']}}, 'additionalProperties': False}
    """
    if isinstance(node, list):
        return [make_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {
        key: {name: make_strict(value) for name, value in node[key].items()}
        if key == "properties"
        else make_strict(value)
        for key, value in node.items()
        if key not in ("description", "nullable", "format", "default") and not key.startswith("x-kubernetes-")
    }
    if node.get("nullable") and "type" in strict:
        strict["type"] = [strict["type"], "null"]
    open_ended = node.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in node
    if "properties" in strict and not open_ended:
        strict["additionalProperties"] = False
    return strict


def _drop(schema: dict[str, Any], path: list[str]) -> None:
    *parents, last = path
    for name in parents:
        schema = schema["properties"][name]
    schema["properties"].pop(last, None)


if __name__ == "__main__":
    typer.run(main)
