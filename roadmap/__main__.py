"""``python -m roadmap``."""

import sys

from roadmap import check_models


def main() -> None:
    """Run the command line; if ``models`` is another project's, print why and exit with 2."""
    try:
        check_models()
    except ImportError as error:
        print(f"Error: {error}.", file=sys.stderr)
        sys.exit(2)
    from roadmap import cli

    cli.main()


if __name__ == "__main__":
    main()
