"""Break `sql/` and `policy/` a little, thousands of times over, and see whether the tests notice.

A mutant is one small change of one module's syntax tree (`changes`). pytest collects the tests of both packages
once, and it is recorded which of them run which line (`lines`). Then each mutant gets a fork of that process, takes
over what was imported (`bring_in`), and is given the tests that run the changed line, the fastest first, until one
fails (`trial`). What no test notices has survived, and is judged by what it does to the decisions on some thousand
statements under several roles (`verdicts`): whether it opens what was refused. Nothing in the work tree is changed.
"""
