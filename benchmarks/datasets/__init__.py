"""Tasks on disk: one file, one task; ``load`` reads its three splits from a data root."""
