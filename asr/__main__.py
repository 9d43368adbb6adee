"""`python -m asr` is the command `asr`; `torchrun -m asr train ...` runs several."""

from asr.cli.main import main

if __name__ == "__main__":
    main()
