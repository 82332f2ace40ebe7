"""The command line: `whywait` and `python -m whywait`."""

import gc
import sys
from pathlib import Path


def main() -> int:
    """Run one command. If the installation is damaged, print one line that says how to repair it."""
    path = Path(__file__).parent / "tracer"
    if path.is_file():  # the doctor's other checks are behind this link
        print(
            f"whywait: {path} is a text file and not a link: git checked it out on a system without links. No command "
            "works. Run `git config core.symlinks true && git checkout whywait`, or install the wheel.",
            file=sys.stderr,
        )
        return 2
    gc.set_threshold(50_000)  # what imports make stays: looking through it is a tenth of the time of `--help`
    from whywait.tracer.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
