"""Audit a folder of images before training: `python -m fancnn.audit data.root=/photos`."""

import sys

from fancnn.audit.settings import AuditSettings
from fancnn.cli.command import command

NOT_CLEAN = 3  # with strict=true; mistakes in use are 1


@command("audit", AuditSettings)
def main(settings: AuditSettings) -> None:
    from fancnn.audit.audit import audit  # lazy: --help must not wait for torch

    if not audit(settings) and settings.strict:
        sys.exit(NOT_CLEAN)


if __name__ == "__main__":
    main()
