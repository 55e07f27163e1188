"""Words with boxes in, the typed fields of a receipt out."""
