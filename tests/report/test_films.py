import io

import numpy as np
import pytest
from PIL import Image

from jaxmarl_core.report import films


def make_frames(num, height, width, num_colours=7, seed=0):
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (num_colours, 3), dtype=np.uint8)
    return colours[rng.integers(num_colours, size=(num, height, width))]


def decode_sheets(sheets, height, width):
    frames = []
    for sheet in sheets:
        with Image.open(io.BytesIO(sheet.png)) as image:
            pixels = np.asarray(image.convert("RGB"))
        for i in range(sheet.num_frames):
            y, x = divmod(i, sheet.num_columns)
            frames.append(pixels[y * height :, x * width :][:height, :width])
    return np.stack(frames)


@pytest.mark.parametrize("num_colours", [1, 7, 256, 5000])
@pytest.mark.parametrize(("num", "max_side"), [(1, 4096), (23, 4096), (23, 40), (24, 20)])
def test_sprite_sheets_hold_every_frame(num, max_side, num_colours):
    frames = make_frames(num, 8, 13, num_colours)
    sheets = films.sprite_sheets(frames, max_side)
    np.testing.assert_array_equal(decode_sheets(sheets, 8, 13), frames)
    for sheet in sheets:
        with Image.open(io.BytesIO(sheet.png)) as image:
            assert max(image.size) <= max_side
    per_sheet = (max_side // 13) * (max_side // 8)
    assert len(sheets) == -(-num // per_sheet)


def test_sheets_are_about_square():
    sheet = films.sprite_sheets(make_frames(100, 10, 10))[0]
    assert sheet.num_columns == 10


@pytest.mark.parametrize("num_colours", [1, 2, 7, 256])
def test_gif_decodes_to_the_frames(num_colours, tmp_path):
    frames = make_frames(12, 9, 14, num_colours)
    films.write_gif(tmp_path / "a.gif", frames, frames_per_second=20)
    shown = []
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info.get("loop") == 0 or num_colours == 1
        for i in range(image.n_frames):
            image.seek(i)
            repeats = image.info.get("duration", 50) // 50  # equal frames are stored once
            shown += [np.asarray(image.convert("RGB"))] * repeats
    if num_colours == 1:
        shown = shown[:1] * 12
    np.testing.assert_array_equal(np.stack(shown), frames)


def test_gif_repeats_a_still_frame_by_time():
    frames = make_frames(4, 5, 5)[[0, 1, 1, 1, 2, 3]]
    with Image.open(io.BytesIO(films.gif(frames, frames_per_second=10))) as image:
        durations = []
        for i in range(image.n_frames):
            image.seek(i)
            durations.append(image.info["duration"])
    assert durations == [100, 300, 100, 100]


def test_gif_of_many_colours_is_close():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    frame = np.stack([*np.meshgrid(ramp, ramp), np.full((64, 64), 90, np.uint8)], -1)
    frames = np.stack([frame, frame[::-1]])
    with Image.open(io.BytesIO(films.gif(frames))) as image:
        for i in range(2):
            image.seek(i)
            error = np.asarray(image.convert("RGB")).astype(int) - frames[i]
            assert np.abs(error).mean() < 8


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 3, 3, 3)), np.zeros((3, 3, 3), np.uint8), np.zeros((0, 3, 3, 3), np.uint8)],
)
def test_wrong_frames_are_refused(bad):
    for function in (films.gif, films.sprite_sheets):
        with pytest.raises(ValueError, match=r"frames: expected uint8 \[T, H, W, 3\], got"):
            function(bad)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="frames: expected sides up to 10"):
        films.sprite_sheets(make_frames(1, 4, 11), max_side=10)
    with pytest.raises(ValueError, match="frames_per_second: expected in"):
        films.gif(make_frames(2, 4, 4), frames_per_second=0)
