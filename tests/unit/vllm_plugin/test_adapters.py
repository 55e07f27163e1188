"""`ocrvl.vllm_plugin.adapters`: on a CPU an adapter changes its own rows alone."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from ocrvl.vllm_plugin.adapters import RowwisePunicaWrapper


def test_rows_without_an_adapter_stay_as_they_are() -> None:
    random = torch.Generator().manual_seed(1)
    wrapper = RowwisePunicaWrapper(8, 8, "cpu")
    x, y = torch.randn(6, 5, generator=random), torch.randn(6, 7, generator=random)
    a, b = torch.randn(2, 1, 3, 5, generator=random), torch.randn(2, 1, 7, 3, generator=random)
    # rows of the adapters 9 and 4, in the places 1 and 0
    mapping = SimpleNamespace(index_mapping=(0, 9, 9, 0, 4, 0), prompt_mapping=(0, 9, 0, 4, 0), is_prefill=True)
    wrapper.update_metadata(mapping, [4, 9], 3, 100)
    expected = y.clone()
    for row, place in ((1, 1), (2, 1), (4, 0)):
        expected[row] += x[row] @ a[place, 0].t() @ b[place, 0].t()
    changed = y.clone()
    wrapper.add_lora_linear(changed, x, (a,), (b,), 1.0, (7,))
    assert torch.allclose(changed, expected, atol=1e-5)
    assert torch.equal(changed[[0, 3, 5]], y[[0, 3, 5]])


def test_before_the_first_request_nothing_is_changed() -> None:
    y = torch.ones(2, 4)
    RowwisePunicaWrapper(8, 8, "cpu").add_lora_linear(
        y, torch.ones(2, 3), (torch.ones(1, 1, 2, 3),), (torch.ones(1, 1, 4, 2),), 1.0, (4,)
    )
    assert torch.equal(y, torch.ones(2, 4))
