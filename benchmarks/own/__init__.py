"""A user's own faces as tasks: ``folder:DIR`` and ``csv:FILE``."""
