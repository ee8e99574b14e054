"""Shapes cover the area geometry says, words and numbers are those of the font."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.envs import drawing


def covered(image):
    """How many pixels of a white-on-black drawing are white."""
    return float(np.asarray(image)[..., 0].sum() / 255)


BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def test_areas(variant):
    blank = drawing.canvas(60, 80, BLACK)
    place = jnp.array([31.3, 28.9])
    disc = variant(lambda p: drawing.disc(blank, p, 12.0, WHITE))(place)
    np.testing.assert_allclose(covered(disc), np.pi * 12**2, rtol=0.01)
    ring = variant(lambda p: drawing.ring(blank, p, 12.0, WHITE, 3.0))(place)
    np.testing.assert_allclose(covered(ring), np.pi * (13.5**2 - 10.5**2), rtol=0.01)
    box = variant(lambda p: drawing.rectangle(blank, p, (20, 10), WHITE))(place)
    np.testing.assert_allclose(covered(box), 200, rtol=0.02)
    line = variant(lambda p: drawing.segment(blank, p, p + jnp.array([30.0, 0]), WHITE, 4))(place)
    np.testing.assert_allclose(covered(line), 30 * 4 + np.pi * 2**2, rtol=0.02)


def test_a_point_in_the_middle_and_one_outside():
    image = drawing.finish(drawing.disc(drawing.canvas(20, 30, BLACK), (10, 5), 3, WHITE))
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8
    assert image[5, 10].tolist() == [255, 255, 255]  # row is y, column is x
    assert image[10, 5].tolist() == [0, 0, 0]


def test_paint_mixes():
    half = drawing.paint(drawing.canvas(1, 1, BLACK), jnp.ones((1, 1)), WHITE, opacity=0.5)
    np.testing.assert_allclose(half, 127.5)


def test_cells_have_their_colours_and_lines():
    colours = np.arange(2 * 3 * 3).reshape(2, 3, 3) * 10
    image = np.asarray(drawing.cells(colours, side=8, gap=2, line=WHITE))
    assert image.shape == (18, 26, 3)
    for row in range(2):
        for column in range(3):
            inside = image[row * 8 + 2 : row * 8 + 8, column * 8 + 2 : column * 8 + 8]
            assert (inside == colours[row, column]).all()
    assert (image[:2] == 255).all() and (image[-2:] == 255).all() and (image[:, -2:] == 255).all()


@pytest.mark.parametrize("number", [0, 7, 10, 305, -4, -998])
def test_numbers_are_written_as_words(number):
    """Digits stand in slots of equal width, so shapes are compared glyph by glyph."""
    blank = drawing.canvas(30, 80, BLACK)
    traced = jax.jit(lambda n: drawing.write_number(blank, n, (40, 15), WHITE))(number)
    apart = [drawing._mask(glyph, 12) for glyph in str(number)]
    np.testing.assert_allclose(covered(traced), sum(mask.sum() for mask in apart), rtol=1e-5)
    lit = np.flatnonzero(np.asarray(traced)[..., 0].sum(axis=0))
    assert abs((lit[0] + lit[-1]) / 2 - 40) < 4, "centred"


def test_a_large_number_is_cut():
    blank = drawing.canvas(30, 80, BLACK)
    written = [drawing.write_number(blank, n, (40, 15), WHITE, digits=2) for n in (99, 12345)]
    np.testing.assert_array_equal(*written)


def test_words_move_with_their_place():
    blank = drawing.canvas(40, 60, BLACK)
    put = jax.jit(lambda p: drawing.write(blank, "goal", p, WHITE))
    here, there = np.asarray(put(jnp.array([25, 15]))), np.asarray(put(jnp.array([32, 19])))
    assert covered(here) > 10
    np.testing.assert_array_equal(here[:-4, :-7], there[4:, 7:])
