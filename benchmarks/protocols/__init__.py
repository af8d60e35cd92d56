"""How samples are split: validation where there is none, and folds."""
