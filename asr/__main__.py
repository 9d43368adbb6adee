"""The command `asr`, also as `python -m asr`; `torchrun -m asr train ...` runs several.

It imports nothing before `main`, which handles an interrupt while the program is being imported.
"""

import sys


def main() -> None:
    """Runs the program; an interrupt before it handles interrupts itself ends as one later does."""
    try:
        from asr.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("asr: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
