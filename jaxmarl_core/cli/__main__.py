"""`python -m jaxmarl_core.cli`, the same as `jaxmarl-core`."""

from jaxmarl_core.cli import main

if __name__ == "__main__":
    main()
