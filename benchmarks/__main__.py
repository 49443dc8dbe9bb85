"""``python -m benchmarks [--short] [--scale]``: template mining beside its peers, on the same prompts."""

import argparse

from benchmarks import templates


def main() -> None:
    """Run the benchmarks and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="2,000 prompts and one run each, to see that it works")
    parser.add_argument("--scale", action="store_true", help="also this miner alone at 100 thousand and 1 million")
    chosen = parser.parse_args()
    templates.run(is_short=chosen.short, with_scale=chosen.scale)


if __name__ == "__main__":
    main()
