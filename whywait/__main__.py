"""The command line: `whywait` and `python -m whywait`."""

import sys
from pathlib import Path


def main() -> int:
    """Runs one command; where whywait itself is damaged, says in one line how to mend it."""
    path = Path(__file__).parent / "tracer"
    if path.is_file():  # the rest of the doctor's checks lies behind it
        print(
            f"whywait: {path} is a text file and not a link: git checked it out on a system without links. No command "
            "works. Run `git config core.symlinks true && git checkout whywait`, or install the wheel.",
            file=sys.stderr,
        )
        return 2
    from whywait.tracer.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
