"""Our own encoders, one file each: a module that defines ``PREPROCESSING`` and ``build() -> (trunk, last)``."""
