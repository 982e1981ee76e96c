"""List, verify or clear decoded images and rendered fans: `python -m fancnn.cache do=list`."""

import sys

from fancnn.cache.settings import CacheSettings
from fancnn.cli.command import command


@command("cache", CacheSettings)
def main(settings: CacheSettings) -> None:
    from fancnn.cache.cache import look_after  # lazy: --help must not wait for torch

    if not look_after(settings):
        sys.exit(1)


if __name__ == "__main__":
    main()
