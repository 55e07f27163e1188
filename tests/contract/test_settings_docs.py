"""The tables of settings against what the models read, what is set for vLLM, and the vLLM that is installed."""

from __future__ import annotations

import ast
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from ocrvl import engine_settings
from ocrvl.models.engine.vllm_engine import arguments
from ocrvl.settings import (
    DocumentSettings,
    EngineModelSettings,
    FieldsSettings,
    LayoutSettings,
    ModelSettings,
    PreprocessSettings,
    ReceiptSettings,
    StreamSettings,
)
from ocrvl.vllm_plugin.bursts.settings import BurstSettings
from ocrvl.vllm_plugin.scheduler import GatherSettings
from ocrvl.vllm_plugin.settings import EncoderGraphSettings, EncoderPrecision
from ocrvl.wire import Model

PAGE = Path("docs/settings.md").read_text("utf-8")
MODELS: dict[Model, type[ModelSettings]] = {
    Model.PREPROCESS: PreprocessSettings,
    Model.ENGINE: EngineModelSettings,
    Model.STREAM: StreamSettings,
    Model.LAYOUT: LayoutSettings,
    Model.DOCUMENT: DocumentSettings,
    Model.FIELDS: FieldsSettings,
    Model.RECEIPT: ReceiptSettings,
}


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    _, found, rest = PAGE.partition(f"\n## {title}\n")
    assert found, title
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of all tables, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0] not in ("key", "argument", "variable", "setting")]


def literal(cell: str) -> str | None:
    """What stands in backquotes and nothing else; None for words."""
    found = re.fullmatch(r"`([^`]*)`", cell)
    return found[1] if found else None


def vllm_arguments() -> set[str]:
    """The fields of the installed vLLM's `AsyncEngineArgs`, from its source: it takes seconds to import."""
    spec = find_spec("vllm")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "engine/arg_utils.py").read_text("utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("EngineArgs")]
    fields = [line.target for node in classes for line in node.body if isinstance(line, ast.AnnAssign)]
    return {target.id for target in fields if isinstance(target, ast.Name)}


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_of_a_model_is_in_its_table_with_its_default_and_meaning(model: Model) -> None:
    defined = {}
    for key, field in MODELS[model].model_fields.items():
        default = None if field.default is None else json.dumps(field.default)
        defined[key] = (default.removesuffix(".0") if default else None, field.description)
    documented = {literal(key): (literal(default), meaning) for key, _, default, meaning in rows(section(f"`{model}`"))}
    assert documented == defined


@pytest.mark.parametrize(
    ("cls", "key", "values"),
    [(cls, key, values) for model, cls in MODELS.items() for key, values, *_ in rows(section(f"`{model}`"))],
)
def test_the_values_that_the_tables_name_are_those_that_are_taken(
    cls: type[ModelSettings], key: str, values: str
) -> None:
    name = key.strip("`")
    good = re.findall(r"`([^`]+)`", values) or re.findall(r"\d+", values)
    for value in good:
        taken = "0.001" if values == "above 0" else value
        assert getattr(cls.model_validate({name: taken}), name) is not None
    if edges := re.findall(r"\d+", values) if "`" not in values else []:
        low = int(edges[0]) - (values != f"above {edges[0]}")
        for beyond in [low, *(int(edge) + 1 for edge in edges[1:])]:
            with pytest.raises(ValueError, match=name):
                cls.model_validate({name: str(beyond)})


def test_what_is_set_for_vllm_is_in_the_table_and_nothing_else() -> None:
    ours, others = section("`model.json`: vLLM's arguments").split("These matter most")
    documented = {literal(argument): json.loads(str(literal(value))) for argument, value, _ in rows(ours)}
    assert documented == engine_settings._OURS
    assert not {literal(argument) for argument, _ in rows(others)} & set(engine_settings._OURS)


def test_every_argument_that_is_named_is_one_of_the_installed_vllm() -> None:
    known = vllm_arguments()
    arguments = {literal(row[0]) for row in rows(section("`model.json`: vLLM's arguments"))}
    wishes = {re.findall(r"`([a-z_]+)`", today)[0] for _, today in rows(section("Settings from other guides"))}
    assert arguments <= known
    assert wishes - {"swap_space"} <= known
    assert "kv_offloading_size" in known
    assert "swap_space" not in known


def test_every_variable_that_is_set_is_in_the_table_with_its_value_and_no_other() -> None:
    documented = {
        literal(variable): "" if value == "(empty)" else literal(value)
        for variable, value, _ in rows(section("Environment variables"))
    }
    assert documented == arguments.ENVIRONMENT


def test_the_encoders_precision_has_the_values_and_the_default_that_the_page_says() -> None:
    text = section("`model.json`: vLLM's arguments")
    default, other = get_args(EncoderPrecision)
    assert engine_settings._AdditionalConfig().encoder_precision == default
    assert f'`{{"encoder_precision": "{other}"}}`' in text
    assert f'the default is `"{default}"`' in text


@pytest.mark.parametrize(
    ("key", "value"),
    [("gather", GatherSettings()), ("encoder_graphs", EncoderGraphSettings()), ("burst", BurstSettings())],
)
def test_what_the_plugin_reads_has_the_defaults_that_the_page_says(key: str, value: BaseModel) -> None:
    default = json.dumps({key: value.model_dump(mode="json")})
    assert f"`{default}`" in section("`model.json`: vLLM's arguments")
