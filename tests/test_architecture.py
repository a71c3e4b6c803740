"""What no single module can promise: who imports whom, what crosses a wire, what is written down."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor

from tradekit.service import errors
from tradingbot.execution.v1 import execution_pb2
from tradingbot.strategy.v1 import strategy_pb2
from tradingbot.vault.v1 import vault_pb2

ROOT = Path(__file__).parents[1]
SERVICES = ("gateway", "vault_service", "execution_service", "strategy_service")
PACKAGES = ("tradekit", *SERVICES, "paper_exchange", "cli")
PROTOS: dict[str, FileDescriptor] = {
    "vault_service": vault_pb2.DESCRIPTOR,
    "execution_service": execution_pb2.DESCRIPTOR,
    "strategy_service": strategy_pb2.DESCRIPTOR,
}


def sources(package: str) -> list[Path]:
    """The hand-written modules of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


ALL_SOURCES = [path for package in PACKAGES for path in sources(package)]
every_module = pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)


# --- Imports ------------------------------------------------------------------------------------------------


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in the tree, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def forbidden_for(package: str) -> tuple[str, ...]:
    """What modules of `package` must not import."""
    others = tuple(service for service in SERVICES if service != package)
    above = ("cli", "tests", "bench")
    return {
        "tradekit": (*SERVICES, "paper_exchange", *above),
        "paper_exchange": (*SERVICES, "tradekit.market", "tradingbot", *above),
        "cli": ("tests", "bench"),
    }.get(package, (*others, "paper_exchange", *above))


@every_module
def test_imports_point_one_way(path: Path) -> None:
    forbidden = forbidden_for(path.relative_to(ROOT).parts[0])
    assert [module for module in imports(tree_of(path)) if of(module, forbidden)] == []


def test_the_import_rule_sees_every_kind_of_import() -> None:
    tree = ast.parse("import a.b\nfrom vault_service import rules\ndef f():\n    from c import d as e\n")
    assert set(imports(tree)) == {"a.b", "vault_service", "vault_service.rules", "c", "c.d"}
    assert of("vault_service.rules", forbidden_for("gateway"))
    assert not of("vault_service.rules", forbidden_for("vault_service"))
    assert not of("gateways", ("gateway",))


PURE = {
    *(
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "hashlib",
        "itertools",
        "json",
        "re",
        "typing",
    ),
}


@pytest.mark.parametrize("path", sources("tradekit/market"), ids=name_of)
def test_the_words_of_the_market_are_pure(path: Path) -> None:
    """No I/O, no clock of their own, no third party, no float."""
    tree = tree_of(path)
    assert {
        module.partition(".")[0] for module in imports(tree) if not of(module, ("tradekit.market",))
    } <= PURE
    floats = [
        node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    assert [node.lineno for node in floats] == []
    assert "float" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


# --- Names --------------------------------------------------------------------------------------------------


@every_module
def test_names_say_what_they_hold(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "misc", "common", "base"}
    classes = [node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if name.endswith(("Manager", "Helper", "Util", "Utils"))] == []


# --- Time and chance ----------------------------------------------------------------------------------------

CLOCKS = {"tradekit/service/clock.py", "paper_exchange/clock.py"}
# Its market is made of a seed.
SEEDED = {"paper_exchange"}
NOW = {
    *("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today"),
}


def readings_of_the_machines_clock(tree: ast.AST) -> list[str]:
    used = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    named = [module for module in imports(tree) if module in NOW]
    return [name for name in used if name in NOW] + named


@every_module
def test_time_comes_from_the_injected_clock(path: Path) -> None:
    if name_of(path) not in CLOCKS:
        assert readings_of_the_machines_clock(tree_of(path)) == []


@every_module
def test_nothing_is_left_to_chance(path: Path) -> None:
    """Keys and ids come from `secrets` and `os.urandom`; `random` can be guessed."""
    if path.relative_to(ROOT).parts[0] not in SEEDED:
        assert not any(of(module, ("random",)) for module in imports(tree_of(path)))


def test_the_clock_rule_sees_every_spelling() -> None:
    text = "from time import time_ns\ntime.time()\ndatetime.now(UTC)\ndatetime.datetime.utcnow\nclock.now()"
    found = readings_of_the_machines_clock(ast.parse(text))
    assert sorted(found) == ["datetime.datetime.utcnow", "datetime.now", "time.time", "time.time_ns"]


# --- Logs ---------------------------------------------------------------------------------------------------

LOG_CALL = r"(self\.)?_?(log|logger|logging)\.(debug|info|warning|error|exception|critical|log)"


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(LOG_CALL, ast.unparse(node.func)):
            yield node


def is_an_event(call: ast.Call) -> bool:
    """A literal name (or one passed on as `event`) and fields: nothing is formatted into the text."""
    (event,) = call.args if len(call.args) == 1 else (None,)
    if isinstance(event, ast.Name):
        return event.id == "event"
    return isinstance(event, ast.Constant) and isinstance(event.value, str) and "%" not in event.value


@every_module
def test_T26_logs_are_events_with_fields(path: Path) -> None:
    assert [call.lineno for call in log_calls(tree_of(path)) if not is_an_event(call)] == []


@pytest.mark.parametrize(
    "text", ['log.info(f"x {y}")', 'log.error("x %s", y)', "logger.debug(y)", 'log.info("x" + y)']
)
def test_the_log_rule_sees_what_is_formatted(text: str) -> None:
    (call,) = log_calls(ast.parse(text))
    assert not is_an_event(call)


# --- Protos -------------------------------------------------------------------------------------------------

# Statistics and candles: no order is made of them.
DOUBLES = {
    *(f"tradingbot.strategy.v1.Candles.{column}" for column in ("open", "high", "low", "close", "volume")),
    "tradingbot.strategy.v1.Backtest.StatisticsEntry.value",
}
MONEY = re.compile(r"price|quantity|balance|profit|fees?$|capital|(^|_)(size|total|available|share|amount)$")
NOT_MONEY = {"page_size"}
NO_NUMBER = (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_BOOL)
SECRET = re.compile(r"secret|passphrase|password|api_key|private|credential|token|(^|_)key$")
# A public name of a strategy, and where a list goes on.
NOT_SECRET = {"next_page_token", "page_token", "tradingbot.strategy.v1.Strategy.key"}
UNSIGNED = {
    *(FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64),
    *(FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_FIXED64),
}


def messages(file: FileDescriptor) -> Iterator[Descriptor]:
    """All messages of a proto, those inside others too."""
    waiting = list(file.message_types_by_name.values())
    while waiting:
        message = waiting.pop()
        yield message
        waiting.extend(message.nested_types)


def fields() -> list[FieldDescriptor]:
    return [field for file in PROTOS.values() for message in messages(file) for field in message.fields]


def methods() -> list[MethodDescriptor]:
    return [
        method
        for file in PROTOS.values()
        for service in file.services_by_name.values()
        for method in service.methods
    ]


def reachable(message: Descriptor) -> set[FieldDescriptor]:
    """Every field that a message of this type can hold, at any depth."""
    found: set[FieldDescriptor] = set()
    waiting = [message]
    while waiting:
        new = set(waiting.pop().fields) - found
        found |= new
        waiting.extend(field.message_type for field in new if field.message_type is not None)
    return found


every_method = pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)


def test_only_statistics_and_candles_are_double() -> None:
    floating = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
    assert {field.full_name for field in fields() if field.type in floating} == DOUBLES


def test_money_is_a_decimal_in_text() -> None:
    named = [field for field in fields() if MONEY.search(field.name) and field.name not in NOT_MONEY]
    money = [field for field in named if field.type not in NO_NUMBER]
    assert len(money) > 20
    assert [field.full_name for field in money if field.type != FieldDescriptor.TYPE_STRING] == []


def test_integers_are_signed() -> None:
    assert [field.full_name for field in fields() if field.type in UNSIGNED] == []


@every_method
def test_T03_no_answer_has_a_field_for_a_secret(method: MethodDescriptor) -> None:
    held = reachable(method.output_type)
    named = [field for field in held if SECRET.search(field.name) and field.name not in NOT_SECRET]
    secret = {field.full_name for field in named if not field.full_name.endswith("Entry.key")}
    assert secret - NOT_SECRET == set()


def test_the_secret_rule_knows_the_vaults_secrets() -> None:
    """What goes in is what must not come out."""
    goes_in = {
        field.name
        for field in reachable(vault_pb2.RegisterAccountRequest.DESCRIPTOR)
        if SECRET.search(field.name)
    }
    assert goes_in == {"api_key", "api_secret", "passphrase"}


@every_method
def test_every_method_has_messages_of_its_own(method: MethodDescriptor) -> None:
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"


# What belongs to no user, and the stream of all users' events to the gateway.
OF_NO_USER = {"ListStrategies", "ExportPine", "WatchEvents"}


@every_method
def test_T21_every_method_on_a_users_data_takes_the_user(method: MethodDescriptor) -> None:
    names = {field.name for field in reachable(method.input_type)}
    assert ("user_id" in names) == (method.name not in OF_NO_USER)


def test_zero_of_every_enum_means_nothing() -> None:
    enums = [enum for file in PROTOS.values() for enum in file.enum_types_by_name.values()]
    assert enums
    assert [enum.name for enum in enums if not enum.values_by_number[0].name.endswith("_UNSPECIFIED")] == []


# --- Reasons ------------------------------------------------------------------------------------------------

ERROR_CLASSES = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type)
    and issubclass(kind, errors.ServiceError)
    and kind.code is not grpc.StatusCode.UNKNOWN
}
# Said by the server of every service, and by its parser of every field.
OF_EVERY_SERVICE = {"INTERNAL", "CALLER_NOT_ALLOWED"}


def reasons(tree: ast.AST) -> set[str]:
    """The reasons with which errors that cross the wire are made."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ERROR_CLASSES:
            found |= _literal(node)
        elif isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & ERROR_CLASSES:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    found |= _literal(call)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "field_invalid",
            "decimal_from",
            "uuid_from",
        }:
            found.add("FIELD_INVALID")
    return found


def _literal(call: ast.Call) -> set[str]:
    first = call.args[0] if call.args else None
    return {first.value} if isinstance(first, ast.Constant) and isinstance(first.value, str) else set()


@pytest.mark.parametrize("service", PROTOS)
def test_the_proto_lists_every_reason(service: str) -> None:
    proto = (ROOT / "protos" / PROTOS[service].name).read_text(encoding="utf-8")
    said = set(chain.from_iterable(reasons(tree_of(path)) for path in sources(service)))
    assert len(said) > 3
    assert {reason for reason in said - OF_EVERY_SERVICE if not re.search(rf"\b{reason}\b", proto)} == set()


# --- Schemas ------------------------------------------------------------------------------------------------

SCHEMAS = {service: service.removesuffix("_service") for service in SERVICES}
QUERY = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ON)\s+(gateway|vault|execution|strategy)\.", re.IGNORECASE
)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_queries_anothers_schema(service: str) -> None:
    texts = (
        node.value
        for path in sources(service)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    queried = {found.lower() for text in texts for found in QUERY.findall(text)}
    assert queried <= {SCHEMAS[service]}


# --- Settings -----------------------------------------------------------------------------------------------

READERS = {"text", "optional_text", "secret", "optional_secret", "flag", "integer", "parsed"}
SETTING = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|DEBUG")


def settings_read(tree: ast.AST) -> set[str]:
    """The names that are given to readers of an Environment as they stand."""
    calls = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    )
    first = (call.args[0] for call in calls if call.func.attr in READERS and call.args)  # type: ignore[attr-defined]
    return {
        argument.value
        for argument in first
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and SETTING.fullmatch(argument.value)
    }


def test_every_setting_is_written_down() -> None:
    written = set(
        chain.from_iterable(
            re.findall(r"[A-Z][A-Z0-9_]+", (ROOT / name).read_text(encoding="utf-8"))
            for name in ("README.md", ".env.example")
        )
    )
    files = [*ROOT.glob("*/config.py"), ROOT / "cli/settings.py", ROOT / "tradekit/service/channel.py"]
    read = set(chain.from_iterable(settings_read(tree_of(path)) for path in files))
    assert len(read) > 20
    assert read - written == set()


# --- What is in the repository ------------------------------------------------------------------------------


@cache
def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


# A folder of one person's machine; what stands in images and on servers is none.
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:root|work|home|Users|mnt)/[\w.-]")
# An index other than the public one: a lock that names it works on one machine only.
REGISTRY = re.compile(
    r"(?:index-url|find-links|trusted-host)[= ]|registry\s*=\s*[\"']?http|\"resolved\":|file://\S*(?:simple|wheels)"
)


def test_no_path_of_a_machine_is_in_the_repository() -> None:
    found = [(name_of(path), hit) for path in tracked() for hit in MACHINE_PATH.findall(text_of(path))]
    assert found == []


def test_no_registry_is_in_the_repository() -> None:
    here = Path(__file__)
    found = [
        (name_of(path), hit) for path in tracked() if path != here for hit in REGISTRY.findall(text_of(path))
    ]
    assert found == []


@pytest.mark.parametrize("folder", ["/" + "root/x", "see /" + "home/me/x", "'/" + "work/main'"])
def test_the_path_rule_sees_a_path(folder: str) -> None:
    assert MACHINE_PATH.search(folder)


def test_T27_every_locked_package_has_its_hash() -> None:
    """`pip` and `uv` then refuse anything else of that name."""
    for lock in ROOT.glob("requirements*.lock"):
        entries = re.split(
            r"\n(?=[a-z0-9])", "\n" + re.sub(r"(?m)^\s*#.*\n", "", lock.read_text(encoding="utf-8"))
        )
        packages = [entry for entry in entries if "==" in entry]
        assert len(packages) > 30
        assert [entry.split()[0] for entry in packages if "--hash=sha256:" not in entry] == []
