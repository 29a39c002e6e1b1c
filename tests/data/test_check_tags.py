"""Files of entities: what they are taken for, and each finding where it must be made and none where all is well."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from stablefit import cli
from stablefit.data.checks import tag_check
from stablefit.data.checks.finding import Finding
from stablefit.data.encoding import load_tokenizer
from stablefit.data.tags import column_files, ner, own_tags, utf16
from stablefit.data.tags.dictionary import Dictionary
from stablefit.data.tags.own_tags import Asked, OwnTags
from stablefit.data.tags.tagging import Span
from stablefit.errors import InputError
from tests import tiny
from tests.malformed_tags import MALFORMED_TAGS

NAMES = ["Anna", "Bruno", "Clara", "Dora"]
TOWNS = ["Aachen", "Bremen", "Celle", "Dresden"]
ROCKET = "\N{ROCKET}"


def sentence(i: int) -> list[str]:
    """The lines of a sentence that nothing is to be said against."""
    number = f"n{i * 7}"
    words = [(NAMES[i % 4], "B-PER"), ("met", "O"), (number, "O"), ("in", "O"), (TOWNS[i % 3], "B-LOC"), ("yet", "O")]
    return [f"{word} {tag}" for word, tag in words]


@pytest.fixture
def columns(tmp_path):
    """`columns(*more)`: sixty good sentences and these, each a list of lines; as it is understood."""

    def make(*more: list[str], n: int = 60, asked: Asked = Asked(), name: str = "a.conll") -> OwnTags:  # noqa: B008
        sentences = [*map(sentence, range(n)), *more]
        (tmp_path / name).write_text("\n\n".join("\n".join(lines) for lines in sentences) + "\n")
        return own_tags.read(str(tmp_path / name), asked)[0]

    return make


def document(text: str, *entities: tuple, surface: bool = False) -> dict:
    rows = [{"start": start, "end": end, "label": label} for start, end, label in entities]
    if surface:
        rows = [{**row, "text": text[row["start"] : row["end"]]} for row in rows]
    return {"text": text, "entities": rows}


@pytest.fixture
def spans(tmp_path):
    """`spans(*more)`: fifty good documents and these, as they are understood."""

    def make(*more: dict, n: int = 50, asked: Asked = Asked(), name: str = "a.jsonl") -> OwnTags:  # noqa: B008
        good = [document(f"{NAMES[i % 4]} met n{i * 7}", (0, len(NAMES[i % 4]), "PER")) for i in range(n)]
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in (*good, *more)))
        return own_tags.read(str(tmp_path / name), asked)[0]

    return make


def codes(own: OwnTags, **further) -> dict[str, Finding]:
    return {found.code: found for found in tag_check.findings(own, **further)}


# --- what a file is


@pytest.mark.parametrize(
    ("name", "content", "holds"),
    [
        ("a.conll", "anything", True),
        ("a.txt", "Anna B-PER\nis O\nhere O\n", True),
        ("a.tsv", "1\tAnna\tB-PER\n2\tis\tO\n3\there\tO\n", True),
        ("a.txt", "Anna B-PER\nis O\nhere x\n" + "so O\n" * 20, True),  # a slip, which reading finds
        ("a.tsv", "text\tlabel\na b\tx\nc d\ty\n", False),
        ("a.txt", "Somebody wrote this.\nAnd B-52 that.\n", False),
        ("a.csv", "text,label\na,O\nb,B-x\nc,O\n", False),
        ("a.jsonl", '{"text": "a b", "entities": []}\n', True),
        ("a.txt", '\n{"text": "a b", "entities": [{"start": 0, "end": 1, "label": "X"}]}\n', True),
        ("a.jsonl", '{"text": "a b", "label": "x", "entities": []}\n', False),
        ("a.jsonl", '{"text": "a b", "entities": ["x", "y"]}\n', False),
        ("a.jsonl", '{"text": "a b"\n', False),
    ],
)
def test_a_file_of_entities_is_known_by_how_it_begins(tmp_path, name, content, holds):
    (tmp_path / name).write_text(content)
    assert own_tags.holds_tags(str(tmp_path / name)) is holds
    (tmp_path / "folder").mkdir()
    (tmp_path / name).rename(tmp_path / "folder" / ("train." + name[2:]))
    assert own_tags.holds_tags(str(tmp_path / "folder")) is (holds and name[2:] in ("conll", "txt", "jsonl"))


def test_the_column_of_entities_is_found_and_the_others_are_said(tmp_path):
    """CoNLL-2003: word, part of speech, chunk, entity; and a file whose entities are not last."""
    rows = ["EU NNP B-NP B-ORG", "rejects VBZ B-VP O", "German JJ B-NP B-MISC", "call NN I-NP O"]
    (tmp_path / "a.txt").write_text("\n".join(rows) + "\n")
    own = own_tags.read(str(tmp_path / "a.txt"))[0]
    assert own.types == ("MISC", "ORG")
    assert own.said[0] == (
        "column 1 holds the words, column 4 of 4 their tags; column 3 holds tags too, and --label=3 reads them; "
        "columns 2, 3 not read"
    )
    assert (own.how.word, own.how.tag) == ("", "")
    (tmp_path / "b.txt").write_text("\n".join(" ".join(row.split()[i] for i in (0, 3, 1)) for row in rows) + "\n")
    other = own_tags.read(str(tmp_path / "b.txt"))[0]
    assert other.examples.entities == own.examples.entities
    assert other.how.tag == "2"
    chunks = own_tags.read(str(tmp_path / "a.txt"), Asked(tag="3"))[0]
    assert chunks.types == ("NP", "VP")


GERMEVAL = "#\tnews\n1\tBerlin\tB-LOC\tO\n2\tis\tO\tO\n3\tBerliner\tB-LOCderiv\tB-LOC\n\n1\tso\tO\tO\n"


def test_two_columns_of_entities_are_refused_until_one_is_chosen(tmp_path):
    (tmp_path / "a.tsv").write_text(GERMEVAL)
    for asked, says in (
        (Asked(word="2"), r"stand in column 3 \(LOC, LOCderiv\) and column 4 \(LOC\).* such as --label=3"),
        (Asked(word="2", tag="9"), "--label=9: the file has 4 columns"),
        (Asked(word="two"), "--text=two: a file of tags has no names of columns; give a number, from 1"),
        (Asked(word="3", tag="3"), "column 3 cannot hold both"),
        (Asked(word="2", tag="3", scheme="bio"), "--scheme=bio is not known"),
        (Asked(word="2", tag="3", unit="letter"), "--unit=letter is not known"),
    ):
        with pytest.raises(InputError, match=says):
            own_tags.read(str(tmp_path / "a.tsv"), asked)
    outer, inner = (own_tags.read(str(tmp_path / "a.tsv"), Asked(word="2", tag=tag))[0] for tag in "34")
    assert outer.examples.words == [["Berlin", "is", "Berliner"], ["so"]]
    assert (outer.types, inner.types) == (("LOC", "LOCderiv"), ("LOC",))
    assert outer.lines == [2, 6]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["B-X", "I-X", "O"], "iob2"),
        (["I-X", "I-X", "O"], "iob1"),
        (["B-X", "E-X", "O"], "iobes"),
        (["S-X", "O", "O"], "iobes"),
    ],
)
def test_the_scheme_is_found(tmp_path, tags, scheme):
    (tmp_path / "a.bio").write_text("".join(f"w{i}x {tag}\n" for i, tag in enumerate(tags)) + "\n")
    own = own_tags.read(str(tmp_path / "a.bio"))[0]
    assert own.how.scheme == scheme
    assert own.said[1] == f"tags: {scheme.upper()}"
    assert ("SF408" in codes(own)) is (scheme != "iob2")


def test_bilou_is_named_and_what_to_write_for_it(tmp_path):
    (tmp_path / "a.bio").write_text("New B-X\nYork L-X\nAnna U-Y\n")
    with pytest.raises(InputError, match="fit iobes with E- for L- and S- for U-: write them so"):
        own_tags.read(str(tmp_path / "a.bio"))
    (tmp_path / "a.bio").write_text("New B-X\nYork E-X\n")
    with pytest.raises(InputError, match="all tags of the file fit iobes: set tag_scheme=iobes"):
        own_tags.read(str(tmp_path / "a.bio"), Asked(scheme="iob2"))


def test_single_characters_are_a_text_without_spaces(tmp_path, spans):
    (tmp_path / "a.bio").write_text("北 B-X\n京 I-X\n的 O\n")
    own = own_tags.read(str(tmp_path / "a.bio"))[0]
    assert (own.unit, own.task, own.examples.texts) == ("character", "tagging_characters", ["北京的"])
    chinese = spans(document("我在北京", (2, 4, "X")), n=0)
    assert (chinese.unit, chinese.examples.entities) == ("character", [[Span(2, 4, "X")]])
    assert spans().unit == "word"
    assert spans(asked=Asked(unit="character")).unit == "character"


def test_a_folder_is_read_as_its_training_file_is(tmp_path):
    rows = ["EU NNP B-NP B-ORG", "rejects VBZ B-VP O", "German JJ B-NP B-MISC", "call NN I-NP O"]
    (tmp_path / "train.conll").write_text("\n".join(rows) + "\n")
    (tmp_path / "test.conll").write_text("\n".join(rows[:2]) + "\n")
    train, test = own_tags.read(str(tmp_path))
    assert (len(train.types), len(test.types), test.path) == (2, 1, str(tmp_path / "test.conll"))
    (tmp_path / "test.conll").write_text("EU NNP B-NP B-PER\n")
    with pytest.raises(InputError, match="has the label 'PER', which no entity that training can learn from has"):
        own_tags.read(str(tmp_path))


def test_faults_are_listed_together_or_left_out(tmp_path, columns, capsys):
    bad = [["Anna B-PER", "is LOC"], ["Anna"]]
    with pytest.raises(InputError, match=r"a.conll:422: tag 'LOC' is none of iob2.*; and 1 more fault"):
        columns(*bad)
    assert cli.main(["check", str(tmp_path / "a.conll")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(f"stablefit: {tmp_path / 'a.conll'}:424: 1 column, expected a word and its tag")
    own = columns(*bad, asked=Asked(skip_bad=True))
    assert (len(own.examples), own.examples.n_skipped) == (60, 2)
    assert codes(own)["SF302"].what == "2 sentences of 62 cannot be used and are left out."


# --- findings


def test_nothing_is_said_of_good_files(columns, spans):
    assert codes(columns()) == {}
    assert set(codes(spans())) == {"SF201"}


def test_texts_twice(columns):
    found = codes(columns(sentence(3)))
    assert set(found) == {"SF101"}
    assert found["SF101"].what == "1 text in 2 sentences with the same entities, such as on lines 22 and 421."
    other = [line.replace("B-PER", "O") for line in sentence(3)]
    assert codes(columns(other))["SF102"].serious
    assert codes(columns(["yet O"], ["yet O"])) == {}  # so short that it says nothing


def test_a_text_that_is_in_the_test_file_too(columns):
    own, other = columns(), columns(n=4, name="b.conll")
    assert codes(own, others=[other])["SF103"].what.startswith("4 sentences of ")


def test_one_type_rare_types_and_types_written_in_two_ways(columns):
    more = [["Emil B-per", f"came O\nn{i} O"] for i in range(2)]
    found = codes(columns(*more))
    assert found["SF202"].what == "1 type in fewer than 5 sentences: per (2 in 2)."
    assert found["SF203"].what == "1 type written in several ways: 'PER' and 'per'."
    assert found["SF203"].rows == (421, 425)
    assert "SF202" not in codes(columns(*more), folds=2)
    assert codes(columns(*([["Emil B-X"]] * 60), n=0))["SF201"].what == "All entities are of the type X."


def test_entities_that_cut_words(spans):
    one = document("Annabel came", (0, 4, "PER"))
    found = codes(spans(one))["SF401"]
    assert found.what == "1 of 51 entities begin or end within a word (PER 1), such as on line 51."
    assert not found.serious
    assert codes(spans(one, one, one))["SF401"].serious
    assert "SF401" not in codes(spans(one, asked=Asked(unit="character")))


@pytest.mark.parametrize("surface", [True, False])
def test_offsets_in_utf16_units(spans, tmp_path, capsys, surface):
    """With the entities' own text the file cannot be read otherwise; without, their edges cut words."""
    text = f"{ROCKET} Anna met {ROCKET} Bruno"
    good = document(text, (2, 6, "PER"), (13, 18, "PER"), surface=surface)
    assert "SF403" not in codes(spans(good))
    for entity, (start, end) in zip(good["entities"], ((3, 7), (15, 20)), strict=True):
        entity |= {"start": start, "end": end}
    # The last one lies outside of the text in characters, so that the line cannot be read so.
    own = spans(good)
    found = codes(own)["SF403"]
    assert found.serious
    assert found.what.startswith("2 entities behind an emoji")
    assert own.examples.entities[-1] == [Span(1, 2, "PER"), Span(4, 5, "PER")]
    assert cli.main(["check", str(tmp_path / "a.jsonl"), "--model=package:nothing_of_the_kind"]) in (1, 2)
    with pytest.raises(InputError, match="counted in UTF-16 units it fits"):
        ner.read_spans(tmp_path / "a.jsonl", "word")


def test_edges_alone_tell_of_utf16_units(spans):
    own = spans(document(f"{ROCKET} Anna met Bruno", (3, 7, "PER")))
    assert own.units16 == utf16.Fitting(1, 0)
    assert codes(own)["SF403"].serious
    assert own.examples.n_unrepresented == {"PER": 1}  # it is trained on as it stands, and that is said


def test_texts_without_entities(columns):
    bare = [[f"so O\nit O\ngoes O\nn{i} O"] for i in range(70)]
    assert codes(columns(*bare))["SF404"].what.startswith("70 sentences of 130 have no entity, such as on lines 421, ")
    assert "SF404" not in codes(columns(*bare[:40]))


def test_what_is_an_entity_here_and_none_there(columns):
    own = columns(["yes O", "Anna O", "came O"], ["Bremen O"])
    found = codes(own)["SF405"]
    assert found.what == (
        "2 strings that are entities elsewhere stand in 2 places outside of any: 'Anna' 15 times an entity and 1 not, "
        "such as on line 421; 'Bremen' 20 times an entity and 1 not, such as on line 425."
    )
    assert found.rows == (421, 425)
    # An entity within a longer one is not left out, and a common word that was annotated once is no entity.
    assert "SF405" not in codes(columns(["Anna B-ORG", "Bank I-ORG"], *([["met B-PER"]])))


def test_the_same_entity_with_different_types(columns):
    found = codes(columns(["yes O", "Anna B-LOC"]))["SF406"]
    assert found.what == "1 string with several types: 'Anna' (PER 15, LOC 1)."


def test_slips_and_another_scheme(columns):
    found = codes(columns(["Dora I-PER", "came O"], ["Dora B-PER", "Bank I-LOC"]))["SF408"]
    assert found.what == "2 of 123 entities begin with I- where B- is expected; read as IOB1."
    all_of_it = columns(*([[f"Dora I-PER\ncame O\nn{i} O"] for i in range(60)]))
    assert codes(all_of_it)["SF408"].what == "The tags fit IOB1 and not IOB2, and are read so."


def test_few_and_muted(columns):
    assert set(codes(columns(n=20))) == {"SF301"}
    assert not codes(columns(n=20))["SF301"].serious
    assert codes(columns(n=8))["SF301"].serious
    assert codes(columns(n=20), mute=("SF301",)) == {}


def test_what_a_tokenizer_makes_of_it(tmp_path):
    """Windows, unknown texts, and edges within a piece, with the tiny vocabulary of w0 to w35."""
    tiny.write_model(tmp_path / "model", blocks=1)
    tokenizer = load_tokenizer(tmp_path / "model")
    lines = [["w1 B-X", "w2 O", f"w{i % 30} O"] for i in range(50)] + [["w1 B-X"] + ["w2 O"] * 40]
    (tmp_path / "a.bio").write_text("\n\n".join("\n".join(one) for one in lines) + "\n")
    own = own_tags.read(str(tmp_path / "a.bio"))[0]
    cut = tag_check.pieced(own, tokenizer, 16)
    assert (cut.length, cut.pieces) == (16, "text")
    assert cut.lengths.tolist() == [5] * 50 + [43]
    found = codes(own, cut=cut)
    assert found["SF407"].what == "1 sentence of 51 have more than 16 tokens, such as on line 201."
    assert "SF107" not in found
    assert "SF107" in codes(own, cut=tag_check.Pieced(cut.lengths, np.ones(51), 16, cut.encoded, 0))
    by_character = own_tags.read(str(tmp_path / "a.bio"))[0]._replace(unit="word")
    assert codes(by_character, cut=tag_check.Pieced(cut.lengths, cut.shares, 16, cut.encoded, 3))["SF402"].what == (
        "3 of 51 entities have an edge within a piece of the tokenizer, where only the order of tags tells it."
    )
    assert tag_check.Pieced(cut.lengths, cut.shares, 16, cut.encoded, 6).pieces == "word"


# --- the command


@pytest.mark.parametrize("bad", MALFORMED_TAGS, ids=lambda bad: bad.name)
def test_a_malformed_file_is_refused(tmp_path, capsys, bad):
    file = tmp_path / bad.file
    file.write_bytes(bad.content)
    assert cli.main(["check", str(file)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"stablefit: {file}{bad.says}"), err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.conll", "--join"], "--join: a file of entities, as "),
        (["a.conll", "--id=x"], "--id: a file of entities"),
        (["a.csv", "--scheme=iob2"], "--scheme: a table of labelled texts"),
        (["b.conll"], "b.conll is not there; give a file of tags"),
        (["a.conll", "--mute=SF499"], "--mute: code 'SF499' is not known"),
        (["a.jsonl", "--label=2"], "--label=2: "),
    ],
)
def test_arguments_that_cannot_be_meant(tmp_path, monkeypatch, capsys, columns, spans, arguments, says):
    columns()
    spans()
    (tmp_path / "a.csv").write_text("text,label\na b,x\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_the_command_says_it_within_a_terminal(tmp_path, columns, capsys):
    tiny.write_model(tmp_path / "model", blocks=1)
    columns(sentence(3), [line.replace("B-PER", "O") for line in sentence(4)])
    model = f"--model={tmp_path / 'model'}"
    assert cli.main(["check", str(tmp_path / "a.conll"), model]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "SF102 serious: the same text with different labels" in out
    assert "SF107 serious: texts that the tokenizer does not know" in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("/")) < 80
    assert cli.main(["check", str(tmp_path / "a.conll"), model, "--mute=SF102,SF107"]) == 0


@pytest.mark.parametrize("kind", ["auto", "tagging"])
@pytest.mark.parametrize("name", ["a.conll", "a.jsonl"])
def test_standard_input_is_read_as_the_file(tmp_path, monkeypatch, capsys, columns, spans, kind, name):
    columns()
    spans()
    tiny.write_model(tmp_path / "model", blocks=1)
    monkeypatch.chdir(tmp_path)
    told = []
    for given in (name, "-"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / name).read_bytes())))
        code = cli.main(["check", given, f"--kind={kind}", "--model=model", "--mute=SF107"])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        told.append(out)
    assert told[1] == told[0].replace(f"{name}\n", "standard input\n", 1)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Anna B-PER\nis O\nso B-\nyet O\n")))
    assert cli.main(["check", "-", "--kind=tagging"]) == 2
    assert capsys.readouterr().err.startswith("stablefit: standard input:3: ")
    assert Path.cwd() == tmp_path


# --- exports of Prodigy


def task(text: str, *entities: tuple, answer: str = "accept", **more) -> dict:
    spans = [{"start": s, "end": e, "label": name, "token_start": 0, "token_end": 0} for s, e, name in entities]
    tokens = [{"text": text, "start": 0, "end": len(text), "id": 0}]
    rest = {"_input_hash": 1, "_task_hash": 2, "meta": {"source": "x"}, "tokens": tokens}
    return {"text": text, **rest, **({"spans": spans} if entities else {}), "answer": answer, **more}


TASKS = [
    task("it rains"),
    task("Anna met us", (0, 4, "PER")),
    task("Bruno met us", (0, 5, "LOC"), answer="reject"),
    task("in Celle", (3, 8, "LOC"), answer="ignore"),
    task("Clara met us", (0, 5, "PER")),
]


@pytest.mark.parametrize("form", ["lines", "array", "indented array"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "export"])
def test_exports_of_prodigy(tmp_path, form, name):
    content = {
        "lines": "".join(json.dumps(one) + "\n" for one in TASKS),
        "array": json.dumps(TASKS),
        "indented array": json.dumps(TASKS, indent=2),
    }[form]
    (tmp_path / name).write_text(content)
    assert own_tags.holds_tags(str(tmp_path / name))
    (own,) = own_tags.read(str(tmp_path / name))
    assert own.examples.texts == ["it rains", "Anna met us", "Clara met us"]
    assert own.examples.entities == [[], [Span(0, 1, "PER")], [Span(0, 1, "PER")]]
    assert own.said[0] == f"{'JSON lines' if form == 'lines' else 'a JSON array'} with text and spans"
    assert "2 documents left out, whose answer is reject or ignore" in own.said
    assert own.lines == {"lines": [1, 2, 5], "array": [1, 2, 5]}.get(form, own.lines)
    assert len(set(own.examples.ids)) == 3


def test_what_is_no_export_of_entities(tmp_path):
    """Tasks of texts are a table; an array that breaks off, and one of declined tasks alone, are refused."""
    file = tmp_path / "a.json"
    for row in (task("a b", (0, 1, "X"), label="sport"), task("a b", (0, 1, "X"), accept=["sport"])):
        file.write_text(json.dumps([row]))
        assert not own_tags.holds_tags(str(file))
    file.write_text(json.dumps([task("a"), task("b", (0, 1, "X"))])[:-9])
    with pytest.raises(InputError, match=r"a\.json:1: not JSON"):
        own_tags.read(str(file))
    file.write_text(json.dumps([task("b", (0, 1, "X"), answer="reject")]))
    with pytest.raises(InputError, match="no documents in it"):
        own_tags.read(str(file))
    file.write_text(json.dumps([task("a", (0, 1, "X")), {"text": "b"}]))
    with pytest.raises(InputError, match=r":2: the line has no 'entities'"):
        own_tags.read(str(file))


# --- the parts


def test_the_longest_match_is_found():
    known = Dictionary([(("New", "York"), "LOC"), (("York",), "PER"), (("York",), "PER"), (("New", "York"), "ORG")])
    assert known.find(["New", "York", "and", "York"]) == [Span(0, 2, "LOC"), Span(3, 4, "PER")]
    assert known.find(["New", "York"], taken=[0]) == [Span(1, 2, "PER")]


def test_words_that_are_numbered():
    assert column_files.numbered([["a1", "b2"], ["c1", "d2", "e3"]])
    assert column_files.numbered([["a0", "b1"], ["c2", "d3", "e4"]])
    assert not column_files.numbered([["a1", "b2"], ["c1", "d2", "e4"]])
    assert not column_files.numbered([["1", "2", "3"]])
