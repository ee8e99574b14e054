"""Export a policy that a sweep has trained: safetensors and JSON, StableHLO, ONNX."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxmarl_core.cli.running import CONSOLE, begin
from jaxmarl_core.cli.trained import label, which
from jaxmarl_core.sweeps.export import FORMATS, NUM_CHECKED, export_policy
from jaxmarl_core.sweeps.saved_run import load_run


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core export`."""
    tyro.cli(export, args=arguments, prog="jaxmarl-core export")


def export(
    folder: Annotated[Path, tyro.conf.Positional],
    run: str = "best",
    out: Path | None = None,
    formats: tuple[str, ...] = FORMATS[:2],
    sample: bool = False,
) -> None:
    """Export a policy that a sweep has trained: safetensors and JSON, StableHLO, ONNX.

    Args:
      folder: of the sweep.
      run: "best", a number, or options such as learning_rate=3e-4,clip=0.2: the best run with them.
      out: the folder to write, new; by default <name of the sweep>-policy here.
      formats: safetensors, stablehlo, onnx (needs the extra: pip install "jaxmarl-core[onnx]").
      sample: let the exported function draw from the policy instead of taking its mode.
    """
    begin()
    found = load_run(folder, which(run))
    path = out or Path(f"{folder.resolve().name}-policy")
    distances = export_policy(found, path, formats, greedy=not sample)
    CONSOLE.print(f"{label(folder, found)} is in {path}", markup=False, soft_wrap=True)
    for name, distance in distances.items():
        line = f"  policy.{name}: within {distance:.1g} of ours on {NUM_CHECKED} observations"
        CONSOLE.print(line, markup=False, soft_wrap=True)
