"""The commands of ``meterbeam``, a module each, imported only when its command is given.

A module ``NAME.py`` holds a function ``NAME`` (one command) or a ``typer.Typer`` called ``app`` (a
command with subcommands). The first line of the docstring is the help; a section ``Example:`` is shown
as it stands; sections ``Args:``, ``Returns:`` and ``Raises:`` are for readers of the code. A function
that returns a mapping has it printed as its summary, as a table or with ``--json`` as JSON.
"""
