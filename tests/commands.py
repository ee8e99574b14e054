"""Commands called as a shell calls them, in this process."""

from jaxmarl_core.cli import main


def called(capsys, *arguments):
    """(exit code, standard output, standard error) of a command."""
    try:
        main([str(a) for a in arguments])
        code = 0
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err
