"""State the escape rate that can be proven: `python -m fancnn.certify run=outputs/train/<stamp> escape=0.01`.

Exit code 0: granted; 1: refused, or a mistake; 3: refused, since the model's weights have seen some of the images.
"""

import sys

from fancnn.certify.settings import CertifySettings
from fancnn.cli.command import command

SEEN = 3  # the exit code that says that the images, and not the numbers, are at fault


@command("certify", CertifySettings)
def main(settings: CertifySettings) -> None:
    if settings.plan:
        from fancnn.certify.plan import make_plan  # lazy: --help must not wait for scipy

        make_plan(settings)
        return
    from fancnn.certify.certify import certify

    certificate = certify(settings)
    if not certificate.granted:
        sys.exit(SEEN if certificate.refusal == "seen" else 1)


if __name__ == "__main__":
    main()
