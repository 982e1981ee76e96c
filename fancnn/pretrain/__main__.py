"""Learn filters from images without labels: `python -m fancnn.pretrain data.root=/images`."""

from fancnn.cli.command import command
from fancnn.settings.pretraining import PretrainSettings


def build(settings: PretrainSettings) -> None:
    from fancnn.pretrain.pretrain import check  # lazy, as below

    check(settings)


@command("pretrain", PretrainSettings, build=build, resume_key="ckpt")
def main(settings: PretrainSettings) -> float | None:
    from fancnn.pretrain.pretrain import pretrain  # lazy: --help must not wait for torch

    return pretrain(settings)


if __name__ == "__main__":
    main()
