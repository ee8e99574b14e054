"""Writes docs/studies.md: every study that was run, its table and its picture.

    python docs/studies_page.py FOLDER

takes what `jaxmarl-core study NAME --out FOLDER/NAME` has left there, puts the pictures into
docs/studies/ and the tables on one page, in the order of the studies' names. A study that was not
run keeps what the page said of it before.
"""

import argparse
import re
from pathlib import Path

from jaxmarl_core.experiments.studies import names
from jaxmarl_core.store import atomic

DOCS = Path(__file__).resolve().parent
INTRODUCTION = """\
# Studies

Published experiments of the literature, done again over many seeds. A line of a table holds what
was published, where that figure is from (*origin*), and what came out here; whether the two agree,
by the rule above the table (**no** is a miss), or why that cannot be judged. Origins: *paper*, read
in it; *second-hand*, read about it; *replicated*, measured by an independent program; *memory*,
remembered, so not to be leant on; *exact*, computed; *claim*, the paper says so without a figure.
Times are of two CPU cores that had other work, so they are generous. A section without a rule above
its table is of an earlier run, whose rules were others; an empty cell was not judged then.
"""


def sections(page: str) -> dict[str, str]:
    """Returns name -> section of the page, as it stands."""
    found = re.split(r"^<a id=\"(\w+)\"></a>\n", page, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2]))


def section(name: str, folder: Path) -> str:
    """Returns what a study has to show: its table, and its picture if it drew one."""
    text = (folder / "study.md").read_text().strip()
    drawn = (DOCS / "studies" / f"{name}.svg").exists()
    return f"\n{text}\n" + (f"\n![{name}](studies/{name}.svg)\n" if drawn else "") + "\n"


def standing(known: dict[str, str]) -> str:
    """Returns which sections are of the present rules, and which wait, with what they last took."""
    ruled = [name for name in sorted(known) if "\nMet: " in known[name]]
    waiting = []
    for name in names():
        took = re.search(r"\d+ seeds, \d+ s", known.get(name, ""))
        if name not in ruled:
            waiting.append(f"`{name}` ({took.group() if took else 'not run yet'})")
    lines = [f"By the rules above their tables: {', '.join(f'`{name}`' for name in ruled)}."]
    if waiting:
        lines.append(f"To be run again, with what they took: {', '.join(waiting)}.")
    return "\n\n".join(lines) + "\n"


def main() -> None:
    """Writes the page and the pictures."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds a folder for each study that was run")
    folder = parser.parse_args().folder
    path = DOCS / "studies.md"
    known = sections(path.read_text()) if path.exists() else {}
    (DOCS / "studies").mkdir(exist_ok=True)
    for name in names():
        if not (folder / name / "study.md").exists():
            continue
        picture = folder / name / "picture.svg"
        if picture.exists():
            atomic.write(DOCS / "studies" / f"{name}.svg", picture.read_bytes())
        known[name] = section(name, folder / name)
    body = "".join(f'<a id="{name}"></a>\n{known[name]}' for name in sorted(known))
    atomic.write(path, f"{INTRODUCTION}\n{standing(known)}\n{body}".rstrip() + "\n")


if __name__ == "__main__":
    main()
