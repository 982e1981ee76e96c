"""State the escape rate that can be proven: `python -m fancnn.certify run=outputs/train/<stamp> escape=0.01`."""

import sys

from fancnn.command import command
from fancnn.settings import CertifySettings


@command("certify", CertifySettings)
def main(settings: CertifySettings) -> None:
    if settings.plan:
        from fancnn.workflows.planning import make_plan  # lazy: --help must not wait for scipy

        make_plan(settings)
        return
    from fancnn.workflows.certifying import certify

    if not certify(settings).granted:
        sys.exit(1)


if __name__ == "__main__":
    main()
