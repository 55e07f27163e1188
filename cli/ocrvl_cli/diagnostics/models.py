"""Checks of the model repository, its checkpoint, and of a server that runs."""

from __future__ import annotations

from typing import Final

from ocrvl_cli.diagnostics.facts import Checkpoint, Facts
from ocrvl_cli.diagnostics.findings import Finding, fail, ok, warn

_NEEDED: Final = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model")


def check_repository(facts: Facts) -> Finding:
    """The model repository."""
    repository = facts.repository
    if repository.problem:
        return fail("repository", f"{repository.folder}: {repository.problem}", "render one with: ocrvl repository OUT")
    return ok("repository", repository.folder)


def check_checkpoint(facts: Facts) -> Finding | None:
    """Whether every file of the checkpoint is there, and is what its name says."""
    checkpoint = facts.repository.checkpoint
    if checkpoint is None:
        return None
    if checkpoint.folder is None:
        return _absent(checkpoint)
    again = f"copy or download {checkpoint.name} again"
    where = f"{checkpoint.name} at {checkpoint.folder}"
    if checkpoint.pointers:
        names = ", ".join(checkpoint.pointers)
        return fail("checkpoint", f"{where}: only pointers of Git LFS: {names}", "git lfs pull in that folder")
    if missing := _missing(checkpoint):
        return fail("checkpoint", f"{where}: missing {', '.join(missing)}", again)
    if empty := [
        name for name, size in checkpoint.files.items() if not size and name.endswith((".json", ".safetensors"))
    ]:
        return fail("checkpoint", f"{where}: empty {', '.join(empty)}", again)
    weights = sum(size for name, size in checkpoint.files.items() if name.endswith(".safetensors"))
    return ok("checkpoint", f"{where}: weights {weights / 1e6:,.0f} MB")


def check_server(facts: Facts) -> Finding | None:
    """The probe of the server that was named."""
    if facts.server is None:
        return None
    healthy, reason = facts.server
    if healthy:
        return ok("server", reason)
    return fail("server", reason, "look at its log; `ocrvl probe --verbose` prints all that was checked")


def _absent(checkpoint: Checkpoint) -> Finding:
    if checkpoint.problem:
        return fail("checkpoint", checkpoint.problem, 'set "model" in paddleocr_vl/1/model.json')
    if checkpoint.offline:
        advice = "unset HF_HUB_OFFLINE for the first start, or name a folder that has it"
        return fail("checkpoint", f"{checkpoint.name} is not in the hub's cache, and HF_HUB_OFFLINE is set", advice)
    detail = f"{checkpoint.name} is not in the hub's cache"
    return warn("checkpoint", detail, f"the first start downloads it; or do so now: hf download {checkpoint.name}")


def _missing(checkpoint: Checkpoint) -> list[str]:
    names = set(checkpoint.files)
    missing = [name for name in (*_NEEDED, *checkpoint.shards) if name not in names]
    if not any(name.endswith(".safetensors") for name in names):
        missing.append("weights (*.safetensors)")
    if not names & set(_TOKENIZERS):
        missing.append(" or ".join(_TOKENIZERS))
    return missing
