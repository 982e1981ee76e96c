"""Learn filters from pictures without labels: `python -m fancnn.pretrain data.root=/pictures`."""

from fancnn.command import command
from fancnn.pretraining_limits import check_pretraining
from fancnn.pretraining_settings import PretrainSettings


@command("pretrain", PretrainSettings, goes_on_with="ckpt")
def main(settings: PretrainSettings) -> float | None:
    check_pretraining(settings)  # here: torch takes seconds to import, a mistake need not
    from fancnn.workflows.pretraining import pretrain  # lazy: --help must not wait for torch

    return pretrain(settings)


if __name__ == "__main__":
    main()
