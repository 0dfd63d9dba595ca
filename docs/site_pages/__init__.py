"""Pages of the documentation site generated from the code, the notebooks and files outside of `docs/`.

A page is a pair of its path under `docs/` and its text in Markdown; `docs/hooks.py` gives them to MkDocs.
"""
