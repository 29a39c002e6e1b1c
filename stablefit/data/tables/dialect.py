"""What a text file is written in: its encoding, its delimiter, how it quotes."""

import csv
import io
from typing import NamedTuple

from stablefit.data.tables.rows import counted
from stablefit.errors import InputError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

_BOMS = (  # UTF-32's little-endian mark starts with UTF-16's, so it comes first
    (b"\xff\xfe\x00\x00", "utf-32", "UTF-32"),
    (b"\x00\x00\xfe\xff", "utf-32", "UTF-32"),
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)
_SAMPLE = 4096  # bytes looked at for UTF-16 without a mark
_SNIFFED_ROWS = 200


class Dialect(NamedTuple):
    """How rows are cut into fields."""

    delimiter: str  # "": a line is a field
    quoted: bool = True
    escape: str | None = None  # stands before a quote inside quotes, where quotes are not doubled
    skips_spaces: bool = False


def decode(name: str, content: bytes) -> tuple[str, str]:
    """A file's text, and a sentence on its encoding.

    Bytes that are no UTF-8 in a file that else is become lone surrogates, which a row is then refused for.

    Raises:
        InputError: it is no text in UTF-8, UTF-16, UTF-32 or Windows-1252.
    """
    for mark, codec, title in _BOMS:
        if content.startswith(mark):
            return _strict(name, content, codec, title), f"{title} with a byte order mark"
    if (codec := _unmarked_utf16(content)) is not None:
        return _strict(name, content, codec, "UTF-16"), "UTF-16 without a byte order mark"
    try:
        return content.decode("utf-8"), "ASCII" if content.isascii() else "UTF-8"
    except UnicodeDecodeError as error:
        at = error.start
    lenient = content.decode("utf-8", errors="surrogateescape")
    n_broken = sum("\udc80" <= letter <= "\udcff" for letter in lenient)
    n_whole = sum(letter > "\x7f" for letter in lenient) - n_broken
    # Windows-1252 gives every byte a letter, also those of damaged UTF-8, whose other letters it would spoil.
    if n_whole >= n_broken:
        return lenient, f"UTF-8 with {counted(n_broken, 'broken byte')}"
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}:{_line_of(content, error.start)}: byte 0x{content[error.start]:02x} is neither UTF-8 nor"
            " Windows-1252; save the file as UTF-8"
        ) from None
    line = _line_of(content, at)
    return text, f"not UTF-8 (line {line}), read as Windows-1252; if accents look wrong, save it as UTF-8"


def _strict(name: str, content: bytes, codec: str, title: str) -> str:
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        if codec == "utf-8-sig":
            return content.decode("utf-8-sig", errors="surrogateescape")
        where = f"{name}:{content.decode(codec, errors='replace')[: error.start // 2].count(chr(10)) + 1}"
        raise InputError(f"{where}: broken {title} ({error.reason}); save the file as UTF-8") from None


def _unmarked_utf16(content: bytes) -> str | None:
    """UTF-16 shows by every other byte being zero, as far as the text is of the Latin alphabet."""
    sample = content[:_SAMPLE]
    if len(sample) < 4:
        return None
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None


def _line_of(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def split_lines(text: str) -> list[str]:
    """Lines with their ends. Only a newline ends one, or a carriage return in a file without newlines.

    str.splitlines would also cut at the form feeds and U+2028 that texts hold.
    """
    return list(io.StringIO(text, newline="\n" if "\n" in text else ""))


def find_delimiter(lines: list[str], suffix: str) -> str:
    """The delimiter that the header has and that cuts most rows as wide as the header; "" if the header has none."""
    if suffix in (".tsv", ".tab") and "\t" in lines[0]:
        return "\t"
    best, best_score = "", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = [len(row) for row in _some_rows(lines, delimiter)]
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _some_rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The first rows under a delimiter, quotes respected, faults not."""
    rows: list[list[str]] = []
    reader = csv.reader(iter(lines), delimiter=delimiter)
    while len(rows) < _SNIFFED_ROWS:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            continue
        if row:
            rows.append(row)
    return rows
