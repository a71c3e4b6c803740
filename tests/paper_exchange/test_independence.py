"""An honest judge shares no code with those it judges."""

import ast
import sys
from pathlib import Path

import paper_exchange

ALLOWED = {"paper_exchange", "aiohttp", "uvloop", "cryptography", "pyarrow"} | sys.stdlib_module_names
MODULES = sorted(Path(paper_exchange.__file__).parent.glob("*.py"))


def imported(module: Path) -> set[str]:
    """The top-level names that a module imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add((node.module or "").partition(".")[0])
    return names


def test_only_its_own_code_and_few_libraries() -> None:
    assert len(MODULES) > 30
    assert set().union(*map(imported, MODULES)) <= ALLOWED


def test_the_core_knows_no_protocol() -> None:
    """A second protocol stands beside the first: nothing of the core may import an edge."""
    edges = {module.stem for module in MODULES if module.stem.startswith(("binance_", "okx_"))}
    outer = edges | {"server", "control", "__main__"}
    for module in MODULES:
        if module.stem not in outer:
            source = module.read_text(encoding="utf-8")
            assert not [edge for edge in edges if f"paper_exchange.{edge}" in source], module.stem
