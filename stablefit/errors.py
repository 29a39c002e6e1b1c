"""The one error that the programs turn into a line and exit code 2."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, where (`file:line`, field, value), and what would be right.
    """
