"""Rules of the image decoder, each against pixels computed by hand."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

from nas.data.conversions import Conversions
from nas.data.image_files import MOST_PIXELS, read_converted, read_image
from nas.data.preprocessing import ImagePreprocessing
from nas.errors import DataError

GREY, COLOUR = ImagePreprocessing(1, 4, 6), ImagePreprocessing(3, 4, 6)


def saved(path: Path, values, mode=None, **options) -> Path:
    image = Image.fromarray(values) if mode is None else Image.fromarray(values).convert(mode)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".BMP", ".gif", ".webp", ".tif", ".TIFF"])
def test_lossless_formats_give_their_pixels(tmp_path, suffix):
    values = noise(0, (4, 6))
    file = saved(tmp_path / f"a{suffix}", values, **({"lossless": True} if suffix == ".webp" else {}))
    assert np.abs(read_image(file, GREY)[0].astype(int) - values).max() <= (1 if suffix == ".webp" else 0)


def test_a_jpeg_gives_nearly_its_pixels(tmp_path):
    values = np.full((4, 6, 3), (200, 30, 90), dtype=np.uint8)
    file = saved(tmp_path / "a.JPG", values, quality=95)
    assert np.abs(read_image(file, COLOUR).astype(int) - values.transpose(2, 0, 1)).max() <= 4


def test_a_rotated_photo_is_turned_upright(tmp_path):
    values, exif = noise(1, (6, 4)), Image.Exif()
    exif[0x0112] = 6  # shown after a turn of 90° clockwise
    file = saved(tmp_path / "a.png", values, exif=exif)
    decoded = read_converted(file, GREY)
    assert np.array_equal(decoded.pixels[0], np.rot90(values, -1))
    assert decoded.rules == {"orientation"}


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pixels_lie_on_white(tmp_path, channels):
    values = np.zeros((4, 6, 4), dtype=np.uint8)
    values[:, :3, 3], values[:, 3, 3] = 255, 51
    file = saved(tmp_path / "a.png", values)
    decoded = read_converted(file, ImagePreprocessing(channels, 4, 6))
    assert decoded.pixels[:, 0].tolist() == [[0, 0, 0, 204, 255, 255]] * channels
    assert "transparency" in decoded.rules


def test_a_transparent_colour_of_a_palette_lies_on_white(tmp_path):
    image = Image.fromarray(np.tile(np.arange(6, dtype=np.uint8), (4, 1))).convert("P")
    image.putpalette([10 * place for place in range(6) for _ in range(3)])
    image.save(tmp_path / "a.png", transparency=2)
    decoded = read_converted(tmp_path / "a.png", COLOUR)
    assert decoded.pixels[1, 0].tolist() == [0, 10, 255, 30, 40, 50]
    assert {"transparency", "palette"} <= decoded.rules


def test_sixteen_bits_are_divided_by_the_range_of_the_type(tmp_path):
    values = np.linspace(0, 32768, 24).reshape(4, 6).astype(np.uint16)
    for name in ("a.png", "a.tif"):
        decoded = read_converted(saved(tmp_path / name, values), GREY)
        assert np.array_equal(decoded.pixels[0], np.rint(values / 257.0).astype(np.uint8))
        assert decoded.rules == {"16 bit"}


def test_floats_outside_of_one_are_scaled_by_their_finite_values(tmp_path):
    values = np.linspace(-2, 2, 24, dtype=np.float32).reshape(4, 6)
    values[0, 5], values[1, 0], values[3, 5] = np.nan, np.inf, 2
    decoded = read_converted(saved(tmp_path / "a.tif", values), GREY)
    finite = np.isfinite(values)
    assert np.array_equal(decoded.pixels[0][finite], np.rint(255 * (values[finite] + 2) / 4))
    assert decoded.pixels[0][~finite].tolist() == [0, 0]
    assert decoded.rules == {"floating point"}


def test_floats_within_one_stay_comparable_between_files(tmp_path):
    values = np.full((4, 6), 0.4, dtype=np.float32)
    assert (read_image(saved(tmp_path / "a.tif", values), GREY) == 102).all()


def test_cmyk_becomes_rgb(tmp_path):
    values = np.zeros((4, 6, 3), dtype=np.uint8)
    values[..., 0] = 255
    decoded = read_converted(saved(tmp_path / "a.tif", values, "CMYK"), COLOUR)
    assert np.array_equal(decoded.pixels, values.transpose(2, 0, 1))
    assert decoded.rules == {"cmyk"}


def test_of_an_animated_file_the_first_frame_is_read(tmp_path):
    first, second = (Image.fromarray(np.full((4, 6), value, dtype=np.uint8)) for value in (10, 200))
    for name in ("a.gif", "a.tif", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        decoded = read_converted(tmp_path / name, GREY)
        assert (decoded.pixels == 10).all()
        assert "frames" in decoded.rules


def test_resizing_takes_means_of_the_covered_pixels(tmp_path):
    values = noise(3, (8, 12))
    means = values.reshape(4, 2, 6, 2).mean(axis=(1, 3))
    decoded = read_converted(saved(tmp_path / "a.png", values), GREY)
    assert np.abs(decoded.pixels[0] - means).max() <= 1
    assert decoded.rules == {"size"}


def test_crop_takes_the_middle_and_stretch_takes_all(tmp_path):
    values = np.zeros((4, 12), dtype=np.uint8)
    values[:, 3:9] = 255
    file = saved(tmp_path / "a.png", values)
    assert (read_image(file, ImagePreprocessing(1, 4, 6, "crop")) == 255).all()
    assert read_image(file, GREY)[0, 0].tolist() == [0, 128, 255, 255, 128, 0]


def test_a_large_photo_decodes_as_if_it_were_read_whole(tmp_path):
    rows, columns = np.mgrid[0:512, 0:768]
    smooth = np.stack([rows / 2, columns / 3, 128 + 100 * np.sin(rows / 40)], axis=-1).astype(np.uint8)
    jpeg, png = saved(tmp_path / "a.jpg", smooth, quality=97), saved(tmp_path / "a.png", smooth)
    one, other = (read_image(file, ImagePreprocessing(3, 32, 48)).astype(int) for file in (jpeg, png))
    assert np.abs(one - other).max() <= 4


def test_polarity(tmp_path):
    values = np.full((4, 6), 250, dtype=np.uint8)
    values[0] = 10
    file = saved(tmp_path / "a.png", values)
    plain, inverted, rarer = (
        read_converted(file, ImagePreprocessing(1, 4, 6, polarity=polarity)) for polarity in ("keep", "invert", "rarer")
    )
    assert np.array_equal(plain.pixels[0], values)
    assert np.array_equal(inverted.pixels[0], 255 - values)
    assert np.array_equal(rarer.pixels[0], 255 - values)
    assert plain.rules == set()
    assert rarer.rules == {"polarity"}


def test_channels_are_converted_and_counted(tmp_path):
    grey, colour = saved(tmp_path / "a.png", noise(0, (4, 6))), saved(tmp_path / "b.png", noise(0, (4, 6, 3)))
    assert read_converted(grey, COLOUR).rules == {"colour"}
    assert read_converted(colour, GREY).rules == {"grey"}
    text = Conversions.of([read_converted(file, GREY).rules for file in (grey, colour)]).text()
    assert text == "of 2 images: 1 in colour, converted to grey"
    assert Conversions.of([frozenset()]).text() == ""


def bomb(path: Path, side: int) -> Path:
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + end)
    return path


def refusals(folder: Path):
    saved(folder / "whole.png", noise(0, (40, 40)))
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:900])
    (folder / "text.png").write_text("no image")
    (folder / "empty.jpg").touch()
    (folder / "script.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    saved(folder / "nan.tif", np.full((4, 6), np.nan, dtype=np.float32))
    bomb(folder / "bomb.png", 10_000)
    bomb(folder / "huge.png", 2_000_000)
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    return ["cut", "text", "empty.jpg", "script", "nan.tif", "bomb", "huge", "pipe", "folder", "missing"]


def test_what_is_no_image_is_refused_by_name(tmp_path):
    assert MOST_PIXELS < 10_000**2
    for name in refusals(tmp_path):
        file = tmp_path / (name if "." in name else f"{name}.png")
        with pytest.raises(DataError, match=file.name) as refused:
            read_image(file, GREY)
        assert "\n" not in str(refused.value)
