"""Suite ablation: what each setting contributes, one change at a time."""
