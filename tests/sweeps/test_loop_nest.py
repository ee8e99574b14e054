"""A program's text read: by hand, and of programs whose loops are known, compiled here."""

import jax
import jax.numpy as jnp
import pytest

from jaxmarl_core.sweeps.loop_nest import (
    array_bytes,
    bytes_moved,
    host_decided,
    large_copies,
    loop_nest,
    num_kernels,
)

TEXT = """HloModule jit_f, is_scheduled=true

%body (p: (s32[], f32[10,4])) -> (s32[], f32[10,4]) {
  %p = (s32[], f32[10,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[10,4]{1,0} get-tuple-element(%p), index=1
  %write = f32[10,4]{1,0} fusion(%x, %i), kind=kLoop, metadata={op_name="f/dynamic_update_slice"}
  %add = s32[] fusion(%i), kind=kLoop, calls=%fused_add, metadata={op_name="f/while/body/add"}
  ROOT %t = (s32[], f32[10,4]{1,0}) tuple(%add, %write)
}

%condition (p: (s32[], f32[10,4])) -> pred[] {
  %limit = s32[]{:T(128)} constant(10)
  %p.1 = (s32[], f32[10,4]{1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%p.1), index=0
  ROOT %lt = pred[] compare(%i.1, %limit), direction=LT
}

%open (p: (s32[], f32[10,4])) -> pred[] {
  %p.2 = (s32[], f32[10,4]{1,0}) parameter(0)
  %i.2 = s32[] get-tuple-element(%p.2), index=0
  %end = s32[] fusion(%p.2), kind=kLoop, calls=%fused_end
  ROOT %lt = pred[] compare(%i.2, %end), direction=LT
}

ENTRY %main (a: f32[10,4]) -> f32[10,4] {
  %a = f32[10,4]{1,0} parameter(0)
  %copy.1 = f32[10,4]{1,0} copy(%a)
  %zero = s32[] constant(0)
  %start = (s32[], f32[10,4]{1,0}) tuple(%zero, %copy.1)
  %w = (s32[], f32[10,4]{1,0}) while(%start), condition=%CONDITION, body=%bodyKNOWN
  %y = f32[10,4]{1,0} get-tuple-element(%w), index=1
  ROOT %dot = f32[10,4]{1,0} custom-call(%y, %a), metadata={op_name="jit(f)/dot_general"}
}
"""
SAID = ', backend_config={"known_trip_count":{"n":"10"}}'


def read(condition="condition", known=""):
    return loop_nest(TEXT.replace("CONDITION", condition).replace("KNOWN", known))


@pytest.mark.parametrize("known", ["", SAID], ids=["by its condition", "as it says"])
def test_loops_and_kernels_by_hand(known):
    entry, body = read(known=known)
    assert (entry.depth, entry.times, entry.kinds) == (0, 1, {"copy": 1, "product": 1})
    assert (body.depth, body.trips, body.times) == (1, 10, 10)
    assert body.kinds == {"write": 1, "other": 1}
    assert num_kernels([entry, body]) == 2 + 10 * 2


def test_bytes_by_hand():
    """The body reads and writes a row of 16 bytes and the counter; the product, three arrays."""
    copy, product = 2 * 160, 3 * 160
    write, add = 16 + 16 + 4, 4 + 4
    assert bytes_moved(read()) == copy + product + 10 * (write + add)


def test_a_loop_of_open_length_is_named_and_counted_once():
    loops = read("open")
    assert [loop.name for loop in host_decided(loops)] == ["loop"]
    assert num_kernels(loops) == 2 + 2
    assert not host_decided(read())


def test_copies_are_found_by_their_size():
    assert [kernel.name for _, kernel in large_copies(read(), 160)] == ["copy.1"]
    assert not large_copies(read(), 161)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ("f32[10,4]{1,0}", 160),
        ("(s32[], pred[3], bf16[2,2]{1,0}, /*index=3*/u8[5])", 4 + 3 + 8 + 5),
        ("f32[13,13,7]{2,1,0:T(8,128)}", 13 * 16 * 128 * 4),  # 7 of 128 lanes are used
        ("f32[13,13,7]{0,1,2:T(8,128)}", 7 * 16 * 128 * 4),  # the last axis lies outermost
        ("s32[]{:T(128)}", 4),
        ("f32[300]{0:T(1024)}", 4096),
        ("token[]", 0),
    ],
)
def test_bytes_of_a_type(shapes, expected):
    assert array_bytes(shapes) == expected


def test_a_text_without_an_entry_is_refused():
    with pytest.raises(ValueError, match="text: expected that of a compiled program"):
        loop_nest("nothing")


def test_a_compiled_scan_within_a_scan():
    """Two products in each of 5 x 3 steps, and one in a loop that ends by what it finds."""

    @jax.jit
    def f(x):
        inner = lambda x, _: (jnp.sin(x @ x), None)
        outer = lambda x, _: (jax.lax.scan(inner, x, None, length=3)[0], x)
        x, rows = jax.lax.scan(outer, x, None, length=5)
        return jax.lax.while_loop(lambda x: x.sum() < 1e3, lambda x: x + 1, x), rows

    loops = loop_nest(f.lower(jnp.ones((40, 40))).compile().as_text())
    assert sorted(loop.trips for loop in loops if loop.trips and loop.depth) == [3, 5]
    assert [loop.times for loop in loops if loop.trips == 3] == [15]
    assert len(host_decided(loops)) == 1
