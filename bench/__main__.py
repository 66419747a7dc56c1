"""`scripts/bench NAME`: run one benchmark, or list them."""

import importlib
import pkgutil
import sys

import bench


def names() -> dict[str, str]:
    """Give each benchmark with the first line of what it says about itself."""
    found = {}
    for module in pkgutil.iter_modules(bench.__path__):
        if not module.name.startswith("_"):
            text = importlib.import_module(f"bench.{module.name}").__doc__ or ""
            if text.startswith("scripts/bench"):
                found[module.name] = text.splitlines()[0]
    return found


def main() -> int:
    known = names()
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        print("benchmarks:", *known.values(), sep="\n  ")
        return 0 if len(sys.argv) < 2 else 2
    return importlib.import_module(f"bench.{sys.argv[1]}").main(sys.argv[2:]) or 0


if __name__ == "__main__":
    sys.exit(main())
