"""Do the tests notice? Each mutant is one small wrong change to the physics, and some law must fail for it.

``python -m tests.mutations`` (or ``make mutations``) takes them one by one: it makes the change in a copy of
the source tree, runs the laws that the table names, and says whether one of them failed. The tables in
``table/``, one for each package, are data:

id        what is wrong then, in a few words
kind      one of `KINDS`
file      under the package's ``src``
was       the text that is changed: the shortest that occurs once in the file
becomes   the text that replaces it
tests     the laws that notice, as docs/testing.md cites them: ``pinn-data/tests/test_probe.py::test_...``

A table that no longer fits the source fails a test (``test_table.py``), which takes no time; the full run is
not part of the other tests.
"""
