"""The errors that the programs turn into a line: of what the user gave, exit code 2; of a lost host, 1."""

import unicodedata


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, where (`file:line`, field, value), and what would be right. What a file or a
    person's own program puts into it is made so: line breaks are spaces, and what a terminal would obey is a mark.

    >>> str(InputError("a.csv:2: there is no column 'x', but y\\nz\\x1b[2J"))
    "a.csv:2: there is no column 'x', but y z\\ufffd[2J"
    """

    def __str__(self) -> str:
        return printed(super().__str__())


class HostLost(RuntimeError):
    """Another of the processes that do a run together has ended, so this one cannot go on."""


def printed(text: str) -> str:
    """The text as one line that a terminal shows and does not obey."""
    return text if text.isprintable() else "".join(map(_letter, text))


def _letter(letter: str) -> str:
    if unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp"):
        return letter
    return " " if letter.isspace() else "\ufffd"
