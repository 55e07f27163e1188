"""From encoded bytes to packed patches: `decode` → `grid` → `patches`; `pipeline` puts them in a row."""
