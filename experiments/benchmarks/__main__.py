"""All benchmarks, one after another: `make bench`. Each is a module that also runs alone."""

from jaxmarl_core.experiments.benchmarks import (
    battle,
    cfr,
    environments,
    mfq,
    minimax_q,
    on_policy,
    replay,
    solvers,
    value_factorisation,
)


def main() -> None:
    """Prints every table."""
    benches = (
        battle,
        cfr,
        environments,
        mfq,
        minimax_q,
        on_policy,
        replay,
        solvers,
        value_factorisation,
    )
    for bench in benches:
        print(f"\n== {str(bench.__doc__).splitlines()[0]}")
        bench.main()


if __name__ == "__main__":
    main()
