"""docker-compose.yml gives every process what it needs and nobody more than that."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import execution_service.config
import gateway.config
import gateway.responses
import strategy_service.config
import vault_service.config
from cli.settings import SECRET_NAMES, SERVICES, SystemSettings, read_settings, service_settings
from tests.deploy.compose_file import PUBLIC_URL, ROOT, SECRETS_FOLDER, ComposeFile, Service, VariableMissing
from tests.deploy.dockerfile import images
from tradekit.service.channel import TlsFiles
from tradekit.service.config import Environment
from tradekit.service.secret import Secret

FILE = ComposeFile()
IMAGES = images()
PROXY = (ROOT / "deploy/proxy.conf").read_text()
ONE_SHOTS = {"migrate", "certificates", "vault-admin"}
READERS: Mapping[str, Callable[[Environment], Any]] = {
    "vault": vault_service.config.Settings.from_environment,
    "execution": execution_service.config.read_settings,
    "strategy": strategy_service.config.Settings.from_environment,
    "gateway": gateway.config.read_settings,
}
EVERYTHING_SET = {
    **{name: PUBLIC_URL for name in ("PUBLIC_URL", "CORS_ORIGINS", "OKX_BASE_URL", "OKX_WS_URL")},
    **{
        f"BINANCE_{name}": PUBLIC_URL
        for name in ("BASE_URL", "SPOT_BASE_URL", "WS_URL", "TESTNET_BASE_URL", "TESTNET_WS_URL")
    },
    "TRUSTED_PROXIES": "10.0.0.1",
    "WEBHOOK_IP_ALLOWLIST": "tradingview",
}


def variables_of(service: str) -> dict[str, str | None]:
    """What the process finds in its environment."""
    return {**IMAGES[service].environment, **FILE.services[service].environment}


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_gets_the_settings_that_tradingbot_up_gives_it(service: str) -> None:
    given = {name.removesuffix("_FILE") for name in FILE.services[service].environment}
    machine = {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    by_image = set(IMAGES[service].environment) - machine
    tls = {"TLS_CA", "TLS_CERT", "TLS_KEY"}

    wanted = service_settings(
        service,
        _settings_of_up(),
        database_url=Secret("postgresql://role@host/database"),
        tls=TlsFiles(authority=Path("ca"), certificate=Path("certificate"), key=Path("key")),
        secrets={name: Secret("value") for name in SECRET_NAMES},
    )

    assert (given - tls) | {f"{name}_FILE" for name in tls & given} | by_image == {
        *wanted.variables,
        *wanted.secrets,
    } - {"PYTHONUNBUFFERED"}


def _settings_of_up() -> SystemSettings:
    return read_settings(EVERYTHING_SET, web=False)


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_accepts_its_settings(service: str, made_secrets: Path) -> None:
    env = Environment(_on_this_machine(service, made_secrets))

    settings = READERS[service](env)

    assert f"tradingbot_{service}:" in settings.database_url.reveal()
    assert settings.listen_address.startswith("0.0.0.0:")
    assert settings.tls.key == Path("/tls/service.key")


def test_T20_and_T30_the_gateway_is_in_production_mode(made_secrets: Path) -> None:
    settings = gateway.config.read_settings(Environment(_on_this_machine("gateway", made_secrets)))

    assert settings.production
    assert settings.webhook_secret is None
    assert settings.public_url == PUBLIC_URL


def _on_this_machine(service: str, secrets: Path) -> dict[str, str]:
    paths = FILE.services[service].secrets
    return {
        name: str(secrets / paths[value]) if value.startswith(SECRETS_FOLDER) else value
        for name, value in variables_of(service).items()
        if value is not None
    }


def test_the_public_address_must_be_given() -> None:
    with pytest.raises(VariableMissing, match="PUBLIC_URL"):
        ComposeFile({})


def test_T10_no_secret_stands_in_an_environment() -> None:
    for service in FILE.services.values():
        for name, value in service.environment.items():
            is_secret = re.search(r"PASSWORD|SECRET|KEY|DATABASE_URL", name) and not name.startswith("TLS_")
            assert not is_secret or name.endswith("_FILE"), (service.name, name)
            assert "://" not in (value or "") or "@" not in (value or "")


def test_a_service_reads_the_secrets_that_it_is_granted_and_no_others() -> None:
    for service in FILE.services.values():
        read = {value for value in service.environment.values() if (value or "").startswith(SECRETS_FOLDER)}

        assert read == set(service.secrets), service.name


def test_every_secret_is_made_defined_and_granted(made_secrets: Path) -> None:
    granted = {name for service in FILE.services.values() for name in service.secrets.values()}
    defined = {name: Path(fields["file"]).name for name, fields in FILE.fields["secrets"].items()}
    made = {path.name for path in made_secrets.iterdir() if path.is_file()}

    assert granted == set(defined) == set(defined.values()) == made


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("encryption_key", {"vault", "vault-admin"}),
        ("encryption_keys_retired", {"vault", "vault-admin"}),
        ("secret_key", {"gateway"}),
        ("administrator_database_url", {"migrate"}),
        ("vault_database_url", {"vault", "vault-admin"}),
        ("execution_database_url", {"execution"}),
    ],
)
def test_T10_a_secret_reaches_its_owner_alone(secret: str, holders: set[str]) -> None:
    assert {
        service.name for service in FILE.services.values() if secret in service.secrets.values()
    } == holders


def test_T07_the_vault_is_reached_by_its_two_callers_only() -> None:
    assert FILE.peers("vault") == {"gateway", "execution", "postgres"}
    # What an operator switches on sees its metrics and has no certificate.
    assert FILE.peers("vault", with_profiles=True) - FILE.peers("vault") == {"prometheus"}
    assert FILE.services["prometheus"].volumes.keys().isdisjoint({"/tls"})


def test_only_the_proxy_and_execution_have_a_way_out() -> None:
    assert {name for name in FILE.services if FILE.has_way_out(name)} == {"proxy", "execution"}


def test_only_the_proxy_is_published() -> None:
    published = {
        name: service.fields["ports"] for name, service in FILE.services.items() if "ports" in service.fields
    }

    assert published == {"proxy": ["80:8080", "443:8443"]}


def test_no_two_services_meet_at_the_database() -> None:
    for network in FILE.services["postgres"].networks:
        members = {name for name, service in FILE.services.items() if network in service.networks}
        assert len(members - {"postgres"} - ONE_SHOTS) <= 1, network


@pytest.mark.parametrize("service", FILE.services.values(), ids=lambda service: service.name)
def test_a_container_has_no_rights(service: Service) -> None:
    fields = service.fields

    assert fields["read_only"] is True
    assert fields["cap_drop"] == ["ALL"]
    assert "cap_add" not in fields
    assert "privileged" not in fields
    assert fields["security_opt"] == ["no-new-privileges:true"]
    assert fields["ulimits"] == {"core": 0}
    user = IMAGES[service.target].user if service.target else fields.get("user", "prometheus' own")
    assert not re.match(r"(0|root)\b", user)


def test_a_service_comes_back_and_a_task_does_not() -> None:
    for name, service in FILE.services.items():
        assert service.fields["restart"] == ("no" if name in ONE_SHOTS else "unless-stopped"), name


def test_a_service_has_its_own_certificate_and_no_other() -> None:
    for name in SERVICES:
        volumes = FILE.services[name].volumes
        assert volumes["/tls"] == f"{name}-tls"
        assert f"{name}-tls:/tls:ro" in FILE.services[name].fields["volumes"]
    issued = FILE.services["certificates"].volumes
    assert issued == {"/tls/authority": "authority", **{f"/tls/{name}": f"{name}-tls" for name in SERVICES}}
    holders = [name for name, service in FILE.services.items() if "authority" in service.volumes.values()]
    assert holders == ["certificates"]


def test_every_network_and_volume_is_declared_and_used() -> None:
    networks = {network for service in FILE.services.values() for network in service.networks}
    volumes = {source for service in FILE.services.values() for source in service.volumes.values()}

    assert networks == set(FILE.fields["networks"])
    assert {source for source in volumes if "/" not in source} == set(FILE.fields["volumes"])


def test_files_of_the_host_exist() -> None:
    for service in FILE.services.values():
        for source in service.volumes.values():
            if source.startswith("./deploy") and "secrets" not in source:
                assert (ROOT / source).is_file(), source


@pytest.mark.parametrize(
    ("name", "port", "admin_port"),
    [
        ("gateway", 8001, 50060),
        ("vault", 50051, 50061),
        ("execution", 50052, 50062),
        ("strategy", 50053, 50063),
    ],
)
def test_a_service_listens_on_the_ports_of_the_contract(name: str, port: int, admin_port: int) -> None:
    environment = IMAGES[name].environment

    assert environment["LISTEN_ADDRESS"] == f"0.0.0.0:{port}"
    assert environment["ADMIN_ADDRESS"] == f"0.0.0.0:{admin_port}"


@pytest.mark.parametrize("caller", SERVICES)
def test_who_is_called_can_be_reached(caller: str) -> None:
    for name, value in FILE.services[caller].environment.items():
        if name.endswith("_ADDRESS") and value:
            _check_reachable(caller, value)


def test_the_paper_exchange_answers_where_it_is_looked_for() -> None:
    paper = FILE.services["paper-exchange"]

    # In the gateway's namespace: that one reaches it by loopback, execution by the gateway's name.
    assert paper.fields["network_mode"] == "service:gateway"
    assert FILE.services["gateway"].environment["PAPER_BASE_URL"] == "http://127.0.0.1:9001"
    assert FILE.services["execution"].environment["PAPER_BASE_URL"] == "http://gateway:9001"
    assert "gateway" in FILE.peers("execution")
    assert IMAGES["paper"].command[-5:] == ["0.0.0.0", "--port", "9001", "--state", "/state"]  # noqa: S104  # compared with
    assert "/state" in paper.volumes


def test_prometheus_reaches_every_admin_port() -> None:
    configuration = YAML(typ="safe", pure=True).load((ROOT / "deploy/prometheus.yml").read_text())
    jobs = configuration["scrape_configs"]

    assert [job["job_name"] for job in jobs] == ["gateway", "vault", "execution", "strategy"]
    for job in jobs:
        (target,) = job["static_configs"][0]["targets"]
        assert target.startswith(job["job_name"])
        _check_reachable("prometheus", target)


def _check_reachable(caller: str, address: str) -> None:
    host, _, port = address.partition(":")
    assert FILE.services[caller].networks & FILE.services[host].networks, (caller, address)
    assert int(port) in IMAGES[host].ports


def test_T14_the_gateway_believes_the_proxy_alone() -> None:
    proxy = FILE.services["proxy"].fields["networks"]["edge"]["ipv4_address"]
    (subnet,) = FILE.fields["networks"]["edge"]["ipam"]["config"]

    assert FILE.services["gateway"].environment["TRUSTED_PROXIES"] == proxy
    assert ipaddress.ip_address(proxy) in ipaddress.ip_network(subnet["subnet"])
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in PROXY
    _check_reachable("proxy", "gateway:8001")
    assert "http://gateway:8001" in PROXY


def test_the_proxy_and_the_gateway_agree_on_tradingviews_addresses() -> None:
    assert tuple(re.findall(r"^ +([\d.]+) 1;$", PROXY, re.MULTILINE)) == gateway.config.TRADINGVIEW_ADDRESSES


def test_the_gateway_explains_a_body_that_is_too_large_before_the_proxy_refuses_it() -> None:
    (limit,) = re.findall(r"client_max_body_size (\d+)k;", PROXY)
    (in_memory,) = re.findall(r"client_body_buffer_size (\d+)k;", PROXY)

    assert int(limit) * 1024 >= 2 * gateway.responses.MAX_BODY_BYTES
    # What is larger than the buffer is written to a file, with the secret in it.
    assert in_memory == limit


def test_images_are_named_with_a_version() -> None:
    for service in FILE.services.values():
        if service.target is None:
            assert re.search(r":v?\d+\.\d+", service.fields["image"]), service.name
    assert FILE.services["postgres"].fields["image"].startswith("postgres:18.")


def test_processes_start_in_the_order_of_tradingbot_up() -> None:
    def needs(name: str) -> dict[str, str]:
        return {
            other: entry["condition"]
            for other, entry in FILE.services[name].fields.get("depends_on", {}).items()
        }

    prepared = {
        "migrate": "service_completed_successfully",
        "certificates": "service_completed_successfully",
    }
    assert needs("migrate") == {"postgres": "service_healthy"}
    assert needs("vault") == needs("strategy") == prepared
    assert needs("execution") == prepared | {"vault": "service_healthy"}
    assert needs("gateway") == prepared | dict.fromkeys(("vault", "execution", "strategy"), "service_healthy")
