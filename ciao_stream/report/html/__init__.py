"""The report: one HTML page that holds everything a run found, and needs nothing but itself.

Every number that came out of a run names its place in ``results.json``, so that a program (a test does) can read
both and compare. An element with ``data-value`` bears the value as JSON; other attributes say where it is from:

===============  =====================================================================================================
``data-at``      JSON Pointer into the document; without a leading slash it is appended to each pointer in ``data-base``
``data-base``    of the element or the nearest one around it: pointers with spaces between them
``data-how``     of the element or the nearest one around it: what is made of the values: ``same`` (of a single one, the
                 default), ``mean``, ``sum``, ``max``, ``interval`` (half the width of the 95 % interval of the mean),
                 ``gap`` (of three, a, b and c: ``(a - b) / (c - b)``), or ``pooled`` (of bins of a calibration: the
                 mean that weighs each value by the bin's ``n``)
===============  =====================================================================================================

Modules: :mod:`~ciao_stream.report.html.page` puts a page together from sections, of which each has a module and a
template of its own; :mod:`~ciao_stream.report.html.values` makes the numbers, :mod:`~ciao_stream.report.html.svg` and
:mod:`~ciao_stream.report.html.charts` the drawings. The page of a suite, :mod:`~ciao_stream.report.html.suite`, shows
tables of several runs as they are, without pointers.
"""
