"""Pages that show an evaluation or a comparison: one file each, which needs no network."""
