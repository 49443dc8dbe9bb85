"""``python -m linkage`` is the command line."""

from linkage.cli import main

if __name__ == "__main__":
    main()
