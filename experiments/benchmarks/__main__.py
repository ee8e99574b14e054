"""All benchmarks, one after another: `make bench`. Each is a module that also runs alone."""

import importlib

BENCHES = (
    "battle",
    "battle_training",
    "cfr",
    "environments",
    "mfq",
    "minimax_q",
    "off_policy",
    "on_policy",
    "replay",
    "solvers",
    "value_factorisation",
)


def main() -> None:
    """Prints every table."""
    for name in BENCHES:
        bench = importlib.import_module(f"jaxmarl_core.experiments.benchmarks.{name}")
        print(f"\n== {str(bench.__doc__).splitlines()[0]}")
        bench.main()


if __name__ == "__main__":
    main()
