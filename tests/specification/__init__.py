"""Which test shows which sentence of the specification: ``python -m tests.specification [words]`` prints it.

``rows.toml`` holds every normative sentence and every table row of the API specification
(``ptychopinn_api_spec.md``) and of the rationale of its command-line flags (``cli_flag_rationale.md``), by
section. The fields of a row:

says      the words of the specification, quoted
tests     the tests that show it; paths begin in ``packages/``, or are those of the repository's ``tests/``
remark    what was decided where the specification contradicts itself or its clients

Names ``ptycho.*`` are those of pinn-tf: ``ptycho.config.config`` and ``ptycho.params`` name what
`pinn_config` holds, and ``ptycho.raw_data`` what `pinn_data.grouping.raw_data` holds.

``tests/contracts/test_specification.py`` checks that every cited test exists and, where the two documents lie
beside the repository, that no demand is missing and nothing else is quoted.
"""
