"""Who may import whom: the arrows of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("crm_core", "cti", "mail", "agent_ui", "config")
MAY_KNOW = {
    "crm_core": set[str](),
    "cti": {"crm_core"},
    "mail": {"crm_core"},
    "agent_ui": {"crm_core"},
    "config": {"crm_core", "cti", "mail", "agent_ui"},
}

ADAPTERS = {
    "panoramisk": ("cti/ami/protocol.py",),
    "aioimaplib": ("mail/imap.py",),
    "aiosmtplib": ("mail/smtp.py", "config/demo/"),
    "sqlalchemy": ("crm_core/db/",),
    "alembic": ("crm_core/db/",),
    "asyncpg": ("crm_core/db/",),
    "aiosqlite": ("crm_core/db/",),
    "sqlite3": ("crm_core/db/",),
    "phonenumbers": ("crm_core/phone.py",),
    "websockets": ("agent_ui/push.py",),
    "aiohttp": ("agent_ui/http/", "agent_ui/push.py", "agent_ui/server.py", "mail/oauth.py"),
    "prometheus_client": ("agent_ui/",),
    "argon2": ("agent_ui/auth.py",),
    "click": ("config/",),
    "uvloop": ("config/",),
    "mail_devel": ("config/demo/",),
    "pymap": ("config/demo/",),
    "pytest": (),
    "hypothesis": (),
    "tests": (),
}
"""Of each library, the only files that may import it."""

PURE = (
    "crm_core/model.py",
    "crm_core/notices.py",
    "crm_core/phone.py",
    "crm_core/address.py",
    "crm_core/matching.py",
    "crm_core/contacts.py",
    "crm_core/errors.py",
    "cti/model.py",
    "cti/errors.py",
    "cti/tracker/",
    "cti/ami/events.py",
    "cti/ami/codec.py",
    "cti/ami/framing.py",
    "mail/errors.py",
    "mail/model.py",
    "mail/parse.py",
    "mail/classify.py",
    "mail/wire.py",
    "agent_ui/messages.py",
    "agent_ui/session.py",
    "config/toml_lines.py",
    "config/shapes.py",
)
"""Modules that read no clock and open nothing. Others may say "Pure." and are then held to it."""
NOT_PURE = frozenset(
    {
        "asyncio",
        "concurrent",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
        "secrets",
        "select",
        "selectors",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "aiohttp",
        "aioimaplib",
        "alembic",
        "asyncpg",
        "panoramisk",
        "sqlalchemy",
        "websockets",
    }
)
PURE_PATHS = frozenset({"config/shapes.py"})
"""May name the type of a path, which opens nothing."""


@cache
def sources() -> dict[str, ast.Module]:
    files = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in files
        if "node_modules" not in path.parts
    }


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every module that is imported, also inside functions and for types only, and the line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((alias.name, node.lineno) for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module, node.lineno
                yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)
            case ast.ImportFrom():
                yield ".", node.lineno


def is_in(file: str, places: tuple[str, ...]) -> bool:
    return any(
        file == place or (place.endswith("/") and file.startswith(place)) for place in places
    )


def test_no_import_is_relative() -> None:
    assert not [f"{f}:{n}" for f, t in sources().items() for m, n in imports(t) if m == "."]


def test_packages_know_only_what_the_arrows_allow() -> None:
    wrong = {
        f"{file}:{line} knows {known}"
        for file, tree in sources().items()
        for module, line in imports(tree)
        if (known := module.partition(".")[0]) in PACKAGES
        if known != (package := file.partition("/")[0]) and known not in MAY_KNOW[package]
    }
    assert not wrong


def test_each_library_has_its_one_adapter() -> None:
    wrong = {
        f"{file}:{line} imports {library}"
        for file, tree in sources().items()
        for module, line in imports(tree)
        if (library := module.partition(".")[0]) in ADAPTERS
        if not is_in(file, ADAPTERS[library])
    }
    assert not wrong


def test_every_library_that_is_imported_is_a_dependency() -> None:
    import sys
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = project["dependencies"] + project["optional-dependencies"]["demo"]
    known = {re.split(r"[^A-Za-z0-9_-]", line)[0].replace("-", "_").lower() for line in listed}
    # Names that differ from the package's, and what others bring along by their promise.
    known |= {"argon2", "pydantic_core", "pymap"}
    wrong = {
        f"{file}:{line} imports {library}"
        for file, tree in sources().items()
        for module, line in imports(tree)
        if (library := module.partition(".")[0]) not in {*PACKAGES, *sys.stdlib_module_names}
        if library not in known
    }
    assert not wrong


def pure_files() -> list[str]:
    return [
        file
        for file, tree in sources().items()
        if is_in(file, PURE) or re.search(r"\bPure\b[.,;:]", ast.get_docstring(tree) or "")
        if not file.endswith("__init__.py")
    ]


def test_the_modules_meant_to_be_pure_are_there() -> None:
    missing = [place for place in PURE if not any(is_in(file, (place,)) for file in sources())]
    assert not missing


@pytest.mark.parametrize("file", pure_files())
def test_a_pure_module_opens_nothing_and_reads_no_clock(file: str) -> None:
    tree = sources()[file]
    allowed = {"pathlib"} if file in PURE_PATHS else set[str]()
    wrong = [
        f"line {line} imports {module}"
        for module, line in imports(tree)
        if {module, module.partition(".")[0]} & (NOT_PURE - allowed)
    ]
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="now" | "utcnow" | "today")):
                wrong.append(f"line {node.lineno} reads the clock")
            case ast.Call(func=ast.Name(id="open" | "print" | "input")):
                wrong.append(f"line {node.lineno} opens something")
            case ast.AsyncFunctionDef():
                wrong.append(f"line {node.lineno} waits")
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_imported_in_a_circle(package: str) -> None:
    """Modules of a package import each other in one direction."""
    files = {file.removesuffix(".py").replace("/", "."): file for file in sources()}
    modules = {name.removesuffix(".__init__"): file for name, file in files.items()}
    graph = {
        name: {
            target
            for module, _ in top_imports(sources()[file])
            if (target := module) in modules and target != name and target.startswith(package)
        }
        for name, file in modules.items()
        if name.startswith(package)
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def top_imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Imports that happen when the module is loaded."""
    body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    yield from imports(ast.Module(body=list(body), type_ignores=[]))
