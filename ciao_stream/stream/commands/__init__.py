"""The commands of ``python -m ciao_stream.stream``: each public module is one, named after its file.

A command has ``SUMMARY`` (one line), ``add_options(parser)`` and ``run(options)``, which returns an exit code or None.
Every command also has the options of :func:`ciao_stream.stream.commands._options.server_options`. Importing a command
loads nothing heavy: ``run`` imports what it needs. A command sets ``options.resumes`` to true if the same
command line resumes it after Ctrl-C.
"""
