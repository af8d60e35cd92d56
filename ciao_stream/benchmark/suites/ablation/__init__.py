"""Suite ablation: what each part of the settings is worth, one change at a time."""
