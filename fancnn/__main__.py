"""List the commands: `python -m fancnn`."""

import ast
from pathlib import Path


def commands() -> dict[str, str]:
    """Name and first docstring line of each module here that is a command; none of them is imported."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        decorated = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
        if any(node.name == "main" for node in decorated):
            found[path.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


def main() -> None:
    names = commands()
    width = max(map(len, names))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in names.items()]
    print("Commands (python -m fancnn.NAME --help tells more):", *lines, sep="\n")


if __name__ == "__main__":
    main()
