"""The command line: `jaxmarl-core COMMAND ...`, the commands being those of `COMMANDS` below.

jaxmarl-core spec mfq battle > my.toml
jaxmarl-core plan my.toml --device h200
jaxmarl-core sweep experiments/specs/battle_mfq.toml
jaxmarl-core work runs/battle_mfq
jaxmarl-core watch runs/battle_mfq
jaxmarl-core train mfq battle --seeds 8 --hparams.learning-rate 3e-4
jaxmarl-core report runs/battle_mfq
jaxmarl-core evaluate runs/battle_mfq --against random
jaxmarl-core play runs/battle_mfq --out battle.gif
jaxmarl-core export runs/battle_mfq --formats stablehlo onnx
jaxmarl-core tournament runs/battle_mfq runs/battle_il random
jaxmarl-core aggregate runs/ippo_spread runs/ippo_tag runs/mappo_spread runs/mappo_tag
jaxmarl-core study climbing
jaxmarl-core list

A command is a module with the function `command(arguments)`, imported when it is called: to print a
list takes no JAX.
"""

import importlib
import sys
from collections.abc import Sequence

from jaxmarl_core.errors import lookup
from jaxmarl_core.lazy import first_line

COMMANDS = {
    name: f"jaxmarl_core.cli.{module}"
    for name, module in {
        "spec": "spec",
        "plan": "plan",
        "sweep": "sweep",
        "work": "work",
        "watch": "watch",
        "train": "train",
        "report": "report",
        "evaluate": "evaluate",
        "play": "play",
        "export": "export",
        "results": "results",
        "compare": "compare",
        "aggregate": "aggregate",
        "tournament": "tournament",
        "check": "check",
        "study": "study",
        "list": "listing",
    }.items()
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; what the user got wrong is told in one line, with exit code 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: jaxmarl-core {{{','.join(COMMANDS)}}} ...\n")
        for name, module in COMMANDS.items():
            print(f"  {name:10} {first_line(module)}")
        raise SystemExit(0 if arguments else 2)
    try:
        module = importlib.import_module(lookup(COMMANDS, arguments[0], "command"))
        module.command(arguments[1:])
    except (ValueError, TypeError, ImportError) as error:  # an extra, or what one's own file needs
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a disk that is full, or not to be written to
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(74) from None
