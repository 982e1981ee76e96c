"""Decide over HTTP, with a page: `python -m fancnn.serve file=inspector.onnx`."""

from fancnn.cli.command import command
from fancnn.serve.settings import ServeSettings


@command("serve", ServeSettings)
def main(settings: ServeSettings) -> None:
    from fancnn.serve.serve import serve  # lazy: --help must not wait for a server

    serve(settings)


if __name__ == "__main__":
    main()
