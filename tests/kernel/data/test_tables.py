"""Tables from files: one content in every form, and refusals that name file, line and column."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile

import numpy as np
import pytest

from nas.data import numpy_files, tables
from nas.data.csv_files import as_number, read_csv
from nas.data.table_summary import summarise
from nas.data.tables import read_table
from nas.errors import ConfigError, DataError

ROWS = [("1.5", "2", "ä b"), ("-3", "0.25", "c")]


def text(separator=",", header=True, comma=False):
    lines = [("x", "y", "label")] * header + ROWS
    joined = [separator.join(f'"{cell}"' if separator in cell else cell for cell in line) for line in lines]
    return "\n".join(joined).replace(".", ",") + "\n" if comma else "\n".join(joined) + "\n"


def content(table):
    names = list(table.columns)
    return [table.numbers(names[0]).tolist(), table.numbers(names[1]).tolist(), table.texts(names[2])]


EXPECTED = [[1.5, -3.0], [2.0, 0.25], ["ä b", "c"]]


@pytest.mark.parametrize(
    "name, data",
    [
        ("a.csv", text()),
        ("a.CSV", "\ufeff" + text()),
        ("a.csv", text(header=False)),
        ("a.csv", text().replace("\n", "\r\n")),
        ("a.csv", text() + "\n , , \n"),
        ("a.csv", text(";")),
        ("a.csv", text(";", comma=True)),
        ("a.tsv", text("\t")),
        ("a.txt", text("\t", comma=True, header=False)),
        ("a.csv", text().replace("1.5", '"1.5"')),
        ("a.csv", "0,1,label\n" + text(header=False)),
    ],
)
def test_every_way_to_write_a_table_gives_the_same_cells(tmp_path, name, data):
    (tmp_path / name).write_bytes(data.encode())
    table = read_table(tmp_path / name)
    assert content(table) == EXPECTED
    assert table.header is ("label" in data)


def test_arrays_and_parquet_give_the_same_cells(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    x, y, label = (np.array(column) for column in EXPECTED)
    np.savez(tmp_path / "a.npz", x=x, y=y, label=label)
    np.savez_compressed(tmp_path / "b.npz", x=x, y=y, label=label)
    np.save(
        tmp_path / "c.npy",
        np.array(list(zip(x, y, label, strict=True)), dtype=[("x", "f8"), ("y", "f8"), ("label", "U9")]),
    )
    parquet.write_table(pyarrow.table({"x": x, "y": y, "label": list(label)}), tmp_path / "d.parquet")
    for file in sorted(tmp_path.iterdir()):
        assert content(read_table(file)) == EXPECTED
    np.save(tmp_path / "e.npy", np.stack([x, y], axis=1))
    assert list(read_table(tmp_path / "e.npy").columns) == ["0", "1"]


def test_lines_of_messages_are_those_of_the_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x,note,label\n1,"two\nlines",a\n\nfour,,b\n', "utf-8")
    table = read_table(path)
    assert table.where(1, "x") == f"{path}, line 5, column 'x'"
    with pytest.raises(DataError, match="line 5, column 'x' is 'four', not a finite number"):
        table.numbers("x")
    assert table.texts("note")[1] == ""


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "has no rows"),
        (b"x,y\n", "no rows below its header"),
        (b"x,y\n1,2\n1,2,3\n", "line 3 has 3 cells, and line 1 has 2"),
        (b"x,x\n1,2\n", "two columns of the name 'x'"),
        (b"x,y\n1,\xe4\n", "line 2 is not UTF-8 .*save the file as CSV in UTF-8"),
        ("x,y\n1,2\n".encode("utf-16"), "is in UTF-16; save it as CSV in UTF-8"),
        (b'x,y\n1,"2\n', "line 2 cannot be read as CSV.*check its quotes"),
        (b"x,y\n" + b"1" * 200_000 + b",2\n", "line 2 cannot be read as CSV"),
    ],
)
def test_a_damaged_text_is_refused_with_its_line(tmp_path, data, message):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_table(path)


@pytest.mark.parametrize("cell", ["1_000", "inf", "-Infinity", "1e999", "٣", "0x10", "abc"])
def test_cells_that_are_no_finite_numbers_are_refused(cell):
    with pytest.raises(ValueError, match=re.escape(cell)):
        as_number(cell, decimal_comma=False)


def npy_header(shape, descr="<f8"):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def pickled():
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("a.npy", npy_header((10**12, 5)), "takes .* GiB; 4 is the most"),
        ("a.npy", npy_header((10**30,)), "is the most"),
        ("a.npy", npy_header((3,)), "needs 24 bytes, and the file has 0"),
        ("a.npy", npy_header((-1, 3)), "impossible shape"),
        ("a.npy", pickled(), "Python objects"),
        ("a.npy", b"no array", "cannot be read"),
        ("a.npz", b"no archive", "cannot be read"),
        ("a.npz", zipped(x=npy_header((10**12,))), "array 'x' of shape .* takes"),
        ("a.npz", zipped(x=pickled()), "Python objects"),
        ("a.npz", zipped(x=b"text"), "cannot be read"),
        ("a.npz", zipped(x=npy_header((1,)) + b"12345678", y=npy_header((2,)) + b"12345678" * 2), "unlike lengths"),
        ("a.npz", zipped(x=npy_header((1,), "<M8[D]") + b"12345678"), "neither numbers nor texts"),
        ("a.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("a.xlsx", b"", "of no kind that is read"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


def test_an_archive_of_too_many_arrays_is_refused(tmp_path):
    one = npy_header((1,)) + b"12345678"
    (tmp_path / "a.npz").write_bytes(zipped(**{f"x{n}": one for n in range(numpy_files.MOST_ARRAYS + 1)}))
    with pytest.raises(DataError, match="1,001 arrays"):
        read_table(tmp_path / "a.npz")


def test_an_archive_that_expands_beyond_the_most_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(numpy_files, "MOST_BYTES", 10_000)
    (tmp_path / "a.npz").write_bytes(zipped(x=npy_header((1000,)) + bytes(8000), y=npy_header((1000,)) + bytes(8000)))
    with pytest.raises(DataError, match="array 'y' of shape"):
        numpy_files.read_npz(tmp_path / "a.npz")


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    for path, message in (
        (tmp_path / "a.csv", "no regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / "b", "exist"),
    ):
        with pytest.raises(DataError, match=message):
            read_table(path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'adaptnas\[parquet\]'"):
        read_table(tmp_path / "a.parquet")


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n", "utf-8")
    assert len(read_table(path)) == 1
    path.write_text("x,y\n1,2\n3,4\n", "utf-8")
    assert len(read_table(path)) == 2


def test_columns_are_found_by_name_and_number(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text(), "utf-8")
    table = read_table(path)
    assert [table.name(c, "label") for c in ("y", 0, -1)] == ["y", "x", "label"]
    for column, message in (("labels", "did you mean 'label'"), (3, "has columns 0 to 2")):
        with pytest.raises(ConfigError, match=message):
            table.name(column, "label")


def test_header_can_be_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\nc,d\n", "utf-8")
    assert read_csv(path, "no").names == ("0", "1")
    path.write_text("1,2\n3,4\n", "utf-8")
    assert read_csv(path, "yes").names == ("1", "2")


def test_a_summary_names_label_group_and_features(tmp_path):
    path = tmp_path / "a.csv"
    lines = [f"p{n % 3},{n},{n * n},{'ab'[n % 2]}" for n in range(12)]
    path.write_text("\n".join(["patient_id,a,b,outcome", *lines]), "utf-8")
    summary = summarise(path)
    assert (summary.rows, summary.label, summary.group, summary.features) == (12, "outcome", "patient_id", ("a", "b"))
    assert summary.columns[3].counts == (("a", 6), ("b", 6))
    path.write_text("\n".join(f"{n / 7},{n % 2}" for n in range(12)), "utf-8")
    assert summarise(path).label == "1"


def test_the_digest_is_of_content_and_shape():
    one = np.arange(6.0)
    assert tables.digest_of(one) == tables.digest_of(one.copy())
    assert len({tables.digest_of(x) for x in (one, one.reshape(2, 3), one[::-1], one.astype(np.float32))}) == 4


def test_a_target_is_the_label_before_a_feature_called_y(tmp_path):
    path = tmp_path / "points.csv"
    rows = [f"site{i % 4},{i},{i % 7},{3 * i}" for i in range(24)]
    path.write_text("\n".join(["site,x,y,target", *rows]) + "\n")
    assert summarise(path).label == "target"
