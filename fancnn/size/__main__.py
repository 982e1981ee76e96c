"""Find how small images may be: `python -m fancnn.size data.root=/photos`."""

from fancnn.cli.command import command
from fancnn.size.settings import SizeSettings
from fancnn.train.settings import build


@command("size", SizeSettings, build=build, resume_key="ckpt", resume_in_place=True)
def main(settings: SizeSettings) -> None:
    from fancnn.size.size import size  # lazy: --help must not wait for torch

    size(settings)


if __name__ == "__main__":
    main()
