"""Anyone's own faces as tasks: ``folder:DIR`` and ``csv:FILE``."""
