"""List the commands: `python -m fancnn`."""

import ast
import sys
from difflib import get_close_matches
from pathlib import Path


def commands() -> dict[str, str]:
    """Return the first docstring line of each package here that is a command, by name; none of them is imported."""
    descriptions = {}
    for path in sorted(Path(__file__).parent.glob("*/__main__.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        decorated = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
        if any(node.name == "main" for node in decorated):
            descriptions[path.parent.name] = (ast.get_docstring(tree) or "").splitlines()[0]
    return descriptions


def main() -> None:
    names = commands()
    width = max(map(len, names))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in names.items()]
    print("Commands (python -m fancnn.NAME --help tells more):", *lines, sep="\n")
    if words := [word for word in sys.argv[1:] if word not in ("-h", "--help")]:
        near = get_close_matches(words[0], names, 1, cutoff=0.5)
        written = " ".join([f"python -m fancnn.{near[0]}", *words[1:]]) if near else "python -m fancnn.NAME"
        sys.exit(f"\n{words[0]} should be written with a dot: {written}")


if __name__ == "__main__":
    main()
