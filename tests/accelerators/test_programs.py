"""Programs compiled for accelerators that are not here do no more than the table beside says.

Where XLA's compilers for them are not installed (the extra `aot`), only the table is looked at.
"""

import json

import pytest
from accelerator_programs import FIGURES, PROGRAMS, figures

from jaxmarl_core.sweeps.devices import mesh_of

ROOM = {"kernels": 1.0, "host_decided": 1.0, "large_copies": 1.0, "temporary_bytes": 1.05}
KEPT = json.loads(FIGURES.read_text())


def test_the_table_has_every_program_on_a_gpu():
    """And on a TPU those whose figures were written down, which takes some minutes each."""
    assert set(KEPT["h200"]) == set(PROGRAMS) and set(KEPT["v5e"]) <= set(PROGRAMS)


@pytest.mark.slow
@pytest.mark.parametrize(("device", "name"), [(d, name) for d in KEPT for name in KEPT[d]])
def test_no_figure_rises(device, name):
    try:
        mesh_of(device)
    except ValueError as missing:
        pytest.skip(str(missing))
    now, kept = figures(name, device), KEPT[device][name]
    risen = {key: (kept[key], now[key]) for key in kept if now[key] > ROOM[key] * kept[key]}
    assert not risen, "see accelerator_programs.py for how a figure is written down anew"
