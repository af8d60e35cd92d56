"""The commands of ``python -m ciao_stream.stream``: each public module is one, named after its file.

A command has a ``SUMMARY`` (one line), ``add_options(parser)`` and ``run(options)``, which returns an exit code or None
for 0. Every command has the options of :mod:`ciao_stream.stream.commands._server` too. Importing one loads nothing
heavy: what it needs is imported in ``run``. ``options.resumes`` set to true says that the same command line goes on
after Ctrl-C.
"""
