"""Files that cannot be used, with what must be said of each: for whatever reads a person's own file."""

import codecs
from typing import NamedTuple


class Malformed(NamedTuple):
    """A file, and what stands behind its name in the error."""

    name: str
    file: str
    content: bytes
    says: str


_GOOD = b"text,label\na b,x\nc d,y\n"
_NUMBERS = b"text;label\n" + b"".join(b"a%d b;%d.5\n" % (i, i) for i in range(30))

MALFORMED = (
    Malformed("empty", "a.csv", b"", ": the file is empty; expected a header and one example a row"),
    Malformed("only_spaces", "a.csv", b" \n\n  \n", ": the file is empty; expected a header and one example a row"),
    Malformed("only_bom", "a.csv", b"\xef\xbb\xbf", ": the file is empty; expected a header and one example a row"),
    Malformed("only_bom16", "a.csv", b"\xff\xfe", ": the file is empty; expected a header and one example a row"),
    Malformed("header_only", "a.csv", b"text,label\n", ": no rows below the header; expected one example a row"),
    Malformed(
        "header_empty_rows", "a.csv", b"text,label\n,\n,\n", ": no rows below the header; expected one example a row"
    ),
    Malformed("short_row", "a.csv", b"text,label\na b,x\nc d\n", ":3: 1 field, expected 2 (text, label)"),
    Malformed(
        "long_row",
        "a.csv",
        b"text,label\na, b,x\nc d,y\n",
        ":2: 3 fields, expected 2 (text, label); a field that holds a comma must be in quotes",
    ),
    Malformed(
        "unclosed",
        "a.csv",
        b'text,label\n"a b,x\nc d,y\n',
        ":2: a quote is opened and never closed; close it, or double a quote that belongs to the text",
    ),
    Malformed(
        "unclosed_last",
        "a.csv",
        b'text,label\na b,x\n"c d,y\n',
        ":3: a quote is opened and never closed; close it, or double a quote that belongs to the text",
    ),
    Malformed(
        "after_quote",
        "a.csv",
        b'text,label\n"a b"c,x\nc d,y\n',
        ':2: text after a closing quote; a quote inside a quoted field is written twice, ""',
    ),
    Malformed("nul", "a.csv", b"text,label\na\x00b,x\nc d,y\n", ":2: NUL character in column text; remove it"),
    Malformed(
        "nuls",
        "a.csv",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        ":1: no header: NUL or another control character in it; is the file text?",
    ),
    Malformed(
        "dup_header", "a.csv", b"text,text,label\na,b,x\n", ":1: 2 columns are named 'text'; give each its own name"
    ),
    Malformed(
        "dup_label", "a.csv", b"text,label,label\na b,x,y\n", ":1: 2 columns are named 'label'; give each its own name"
    ),
    Malformed(
        "no_header_class",
        "a.csv",
        b"great film,positive\nbad film,negative\nfine film,positive\nok film,positive\n",
        ":1: no header: 'positive' is a value of later lines too",
    ),
    Malformed(
        "no_header_number",
        "a.csv",
        b"great film,1\nbad film,0\n",
        ":1: no header: '1' is a number; the first line must name the columns, as in text,label",
    ),
    Malformed(
        "header_again", "a.csv", b"text,label\na b,x\ntext,label\nc d,y\n", ":3: the header again; remove the line"
    ),
    Malformed(
        "header_blank",
        "a.csv",
        b",\na b,x\nc d,y\n",
        ":1: no header: the line is empty; the first line must name the columns",
    ),
    Malformed(
        "broken_utf8",
        "a.csv",
        b"text,label\n\xc3\xa4 \xc3\xb6,x\n\xc3\xbc \xc3\xff\xfe,y\n",
        ":3: byte 0xc3 in column text is not UTF-8; write the letter again",
    ),
    Malformed(
        "broken_after_bom",
        "a.csv",
        b"\xef\xbb\xbftext,label\n\xff b,x\n",
        ":2: byte 0xff in column text is not UTF-8; write the letter again",
    ),
    Malformed(
        "not_cp1252",
        "a.csv",
        b"text,label\ncaf\x81,x\n",
        ":2: byte 0x81 is neither UTF-8 nor Windows-1252; save the file as UTF-8",
    ),
    Malformed(
        "utf16_odd",
        "a.csv",
        codecs.BOM_UTF16_LE + "text,label\na b,x\n".encode("utf-16-le") + b"a",
        ":3: broken UTF-16 (truncated data); save the file as UTF-8",
    ),
    Malformed(
        "utf16_surrogate",
        "a.csv",
        codecs.BOM_UTF16_LE + "text,label\na ".encode("utf-16-le") + b"\x00\xd8" + ",x\n".encode("utf-16-le"),
        ":2: broken UTF-16 (illegal UTF-16 surrogate); save the file as UTF-8",
    ),
    Malformed("pdf", "a.csv", b"%PDF-1.4\n", ": is a PDF; give a table, such as CSV"),
    Malformed("gzip", "a.csv.gz", b"\x1f\x8b\x08\x00abc", ": is compressed by gzip; unpack it first: gunzip"),
    Malformed("bzip", "a.bz2", b"BZh91AY", ": is compressed by bzip2; unpack it first: bunzip2"),
    Malformed(
        "xls",
        "a.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        ": is an old Excel workbook (.xls), or one with a password; save it as .xlsx without a password",
    ),
    Malformed("png", "a.csv", b"\x89PNG\r\n\x1a\n\x00\x00", ": is a picture; give a table, such as CSV"),
    Malformed("rtf", "a.txt", b"{\\rtf1 text,label}", ": is a text document (RTF); give a table, such as CSV"),
    Malformed("sqlite", "a.db", b"SQLite format 3\x00", ": is a database; give a table, such as CSV"),
    Malformed("zip", "a.zip", b"PK\x03\x04abcd", ": cannot be opened as an Excel workbook ("),
    Malformed(
        "csv_named_xlsx",
        "a.xlsx",
        _GOOD,
        ": is named .xlsx but is no Excel workbook; give the file the name of what it is",
    ),
    Malformed(
        "csv_named_parquet",
        "a.parquet",
        _GOOD,
        ": is named .parquet but is no Parquet file; give the file the name of what it is",
    ),
    Malformed("broken_parquet", "a.parquet", b"PAR1abcdefPAR1", ": cannot be read as Parquet ("),
    Malformed("json_broken_line", "a.jsonl", b'{"text": "a b", "label": "x"}\n{"text": "c d"\n', ":2: not JSON "),
    Malformed(
        "json_not_object",
        "a.jsonl",
        b'{"text": "a b", "label": "x"}\n["c d", "y"]\n',
        ':2: \'["c d", "y"]\' is no object; expected one such as {"text": ..., "label": ...}',
    ),
    Malformed(
        "json_number_line",
        "a.jsonl",
        b"5\n",
        ':1: \'"5"\' is no object; expected one such as {"text": ..., "label": ...}',
    ),
    Malformed(
        "json_dup_key",
        "a.jsonl",
        b'{"text": "a b", "text": "b", "label": "x"}\n',
        ":1: not JSON (field 'text' is there twice); write one object a line",
    ),
    Malformed(
        "json_nan",
        "a.jsonl",
        b'{"text": "a b", "label": NaN}\n',
        ":1: not JSON (NaN is no JSON; write null where there is no number); write one object a line",
    ),
    Malformed(
        "json_nested",
        "a.jsonl",
        b'{"text": {"a": "b"}, "label": "x"}\n',
        ":1: field 'text' is an object; expected a text, a number, or a list of labels",
    ),
    Malformed(
        "json_nested_list",
        "a.jsonl",
        b'{"text": "a b", "label": [["x"]]}\n',
        ":1: field 'label' is a list with more than texts and numbers in it; expected labels",
    ),
    Malformed(
        "json_null_label",
        "a.jsonl",
        b'{"text": "a b", "label": null}\n{"text": "c d", "label": "x"}\n',
        ":1: no label; expected the name of a class",
    ),
    Malformed(
        "json_missing_key",
        "a.jsonl",
        b'{"text": "a b"}\n{"text": "c d", "label": "x"}\n',
        ":1: no label; expected the name of a class",
    ),
    Malformed("json_empty_key", "a.jsonl", b'{"": "a b", "label": "x"}\n', ":1: a field has no name; give it one"),
    Malformed(
        "json_space_keys",
        "a.jsonl",
        b'{"text": "a b", "text ": "c", "label": "x"}\n',
        ":1: two fields have names that differ by spaces only; give each its own",
    ),
    Malformed(
        "json_half_char",
        "a.jsonl",
        b'{"text": "a \\ud83d b", "label": "x"}\n',
        ":1: half of a character (\\ud83d) in column text; write it whole",
    ),
    Malformed(
        "json_nul", "a.jsonl", b'{"text": "a \\u0000 b", "label": "x"}\n', ":1: NUL character in column text; remove it"
    ),
    Malformed(
        "json_deep",
        "a.jsonl",
        b'{"text": ' + b"[" * 100000 + b"]" * 100000 + b', "label": "x"}\n',
        ":1: not JSON (too deep); write one object a line",
    ),
    Malformed("json_two", "a.jsonl", b'{"text": "a b", "label": "x"}{"text": "c d", "label": "y"}\n', ":1: not JSON "),
    Malformed(
        "json_pretty",
        "a.json",
        b'{\n "text": "a b",\n "label": "x"\n}\n',
        ":1: one JSON object over several lines; write one object a line, or an array",
    ),
    Malformed(
        "json_array_open", "a.json", b'[{"text": "a b", "label": "x"},\n', ":2: the array is not closed; expected ]"
    ),
    Malformed(
        "json_array_open2",
        "a.json",
        b'[{"text": "a b", "label": "x"}\n',
        ":2: the array is not closed; expected a comma or ] after an object",
    ),
    Malformed(
        "json_array_comma",
        "a.json",
        b'[{"text": "a b", "label": "x"},]',
        ":1: a comma before the array's end; remove it",
    ),
    Malformed("json_array_broken", "a.json", b'[{"text": "a b", "label": "x"},\n {"text" "c"}]', ":2: not JSON "),
    Malformed(
        "json_array_strings",
        "a.json",
        b'["a", "b"]',
        ':1: \'"a"\' is no object; expected one such as {"text": ..., "label": ...}; and 1 more fault',
    ),
    Malformed(
        "json_array_rest", "a.json", b'[{"text": "a b", "label": "x"}] x', ":1: 'x' after the array's end; remove it"
    ),
    Malformed("json_array_empty", "a.json", b"[]", ": no rows below the header; expected one example a row"),
    Malformed("json_empty_object", "a.jsonl", b"{}\n{}\n", ": no rows below the header; expected one example a row"),
    Malformed(
        "json_list_text",
        "a.jsonl",
        b'{"text": ["a", "b"], "label": "x"}\n{"text": ["a"], "label": "y"}\n',
        ":1: a list in column text; expected a text; and 1 more fault",
    ),
    Malformed(
        "csv_named_json",
        "a.json",
        _GOOD,
        ":1: not JSON (Expecting value at column 1); write one object a line; and 2 more faults",
    ),
    Malformed("empty_text", "a.csv", b"text,label\n,x\nc d,y\n", ":2: column text is empty; expected a text"),
    Malformed("spaces_text", "a.csv", b"text,label\n   ,x\nc d,y\n", ":2: column text is empty; expected a text"),
    Malformed("empty_label", "a.csv", b"text,label\na b,\nc d,y\n", ":2: no label; expected the name of a class"),
    Malformed(
        "empty_pair",
        "a.csv",
        b"sentence1,sentence2,label\na b,,x\nc d,e,y\n",
        ":2: column sentence2 is empty; expected a text",
    ),
    Malformed(
        "no_label_col",
        "a.csv",
        b"text\na b\nc d\n",
        ": no column of labels found; there are text; add a column of labels",
    ),
    Malformed(
        "no_label_found",
        "a.csv",
        b"text,other thing\na b,c1\nc d,c2\ne f,c3\ng h,c4\ni j,c5\n",
        ": no column of labels found; there are text, other thing; give --label=COLUMN",
    ),
    Malformed(
        "two_labels",
        "a.csv",
        b"text,category,rating\na b,x,1\nc d,y,2\n",
        ": the label may be column category or rating",
    ),
    Malformed(
        "two_texts",
        "a.csv",
        b"title,description,label\na b,c d,x\nc d,e f,y\n",
        ": the text may be column title or description",
    ),
    Malformed("not_number", "a.csv", _NUMBERS + b"c d;high\n", ":32: label 'high' is not a number; expected one"),
    Malformed(
        "thousands",
        "a.csv",
        _NUMBERS + b"c d;1,234\n",
        ":32: label '1,234' is not a number; expected one, as in 0.5, and nothing between thousands",
    ),
    Malformed(
        "overflow", "a.csv", _NUMBERS + b"c d;1e300\n", ":32: label '1e300' is too large; expected a number up to 1e+38"
    ),
    Malformed(
        "label_ctrl",
        "a.csv",
        b'text,label\na b,"x\ny"\nc d,y\n',
        ":2: label 'x\\ny' has a line break or another control character in it; expected a name",
    ),
    Malformed(
        "nested_newline_width",
        "a.csv",
        b'text,label\n"a\nb","x","z"\nc d,y\n',
        ":2: 3 fields over 2 lines, expected 2 (text, label); a field that holds a comma must be in quotes",
    ),
    Malformed("only_quotes", "a.csv", b'"""', ": no rows below the header; expected one example a row"),
    Malformed(
        "one_line_text",
        "a.txt",
        b"Just a sentence that somebody wrote down.",
        ": no rows below the header; expected one example a row",
    ),
    Malformed(
        "html",
        "a.csv",
        b"<!DOCTYPE html>\n<html><body><p>Not found</p></body></html>\n",
        ": is a web page; give a table, such as CSV",
    ),
    Malformed("tsv_short", "a.tsv", b"text\tlabel\na b\tx\nc d\n", ":3: 1 field, expected 2 (text, label)"),
    Malformed(
        "merge_markers",
        "a.csv",
        b"text,label\na b,x\n<<<<<<< HEAD\nc d,y\n=======\n>>>>>>> x\n",
        ":3: 1 field, expected 2 (text, label); and 2 more faults",
    ),
    Malformed(
        "comma_at_end",
        "a.csv",
        b"text,label\na b,x,\nc d,y\n",
        ":2: 3 fields, expected 2 (text, label); remove the comma at the end",
    ),
)
