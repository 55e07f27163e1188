"""What all plots have in common."""

from __future__ import annotations

from typing import Any

STYLE: dict[Any, Any] = {"svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
"""Text stays text: smaller files, and a reader can search them."""
