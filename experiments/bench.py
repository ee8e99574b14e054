"""All benchmarks, one after another: `make bench`. Each is a module that also runs alone."""

from jaxmarl_core.experiments import (
    bench_battle,
    bench_cfr,
    bench_environments,
    bench_mfq,
    bench_minimax_q,
    bench_on_policy,
    bench_replay,
    bench_solvers,
    bench_value_factorisation,
)


def main() -> None:
    """Prints every table."""
    benches = (
        bench_battle,
        bench_cfr,
        bench_environments,
        bench_mfq,
        bench_minimax_q,
        bench_on_policy,
        bench_replay,
        bench_solvers,
        bench_value_factorisation,
    )
    for bench in benches:
        print(f"\n== {bench.__doc__.splitlines()[0]}")
        bench.main()


if __name__ == "__main__":
    main()
