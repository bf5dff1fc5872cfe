"""What infra/ ships for production agrees with what the tests run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cluster.fetch import FLINK_VERSION
from pipelines.cluster.flink_settings import FlinkSize, configuration

MUST_AGREE = (
    "classloader.resolve-order",
    "taskmanager.memory.jvm-metaspace.size",
    "restart-strategy.type",
    "restart-strategy.fixed-delay.attempts",
    "restart-strategy.fixed-delay.delay",
    "heartbeat.interval",
    "heartbeat.timeout",
    "state.backend.type",
)
"""Settings that correctness or recovery hangs on."""


@pytest.fixture(scope="module")
def tested() -> dict[str, Any]:
    """Settings of the cluster that the tests run."""
    found: dict[str, Any] = yaml.safe_load(
        configuration(FlinkSize(state_backend="rocksdb"), Path("/x"), 1, 2)
    )
    return found


def test_production_settings_agree(tested: dict[str, Any], repo: Path) -> None:
    """The production file says the same where it matters."""
    shipped = yaml.safe_load((repo / "infra/flink/config.yaml").read_text(encoding="utf-8"))
    assert {key: shipped.get(key) for key in MUST_AGREE} == {key: tested[key] for key in MUST_AGREE}


def test_compose_settings_agree(tested: dict[str, Any], repo: Path) -> None:
    """So does the trial cluster in containers."""
    services = yaml.safe_load((repo / "infra/containers/compose.yaml").read_text(encoding="utf-8"))[
        "services"
    ]
    given = yaml.safe_load(services["taskmanager"]["environment"]["FLINK_PROPERTIES"])
    assert {key: given.get(key) for key in MUST_AGREE} == {key: tested[key] for key in MUST_AGREE}


def test_images_have_the_pinned_versions(repo: Path) -> None:
    """Container images are of the versions that the embedded cluster fetches."""
    pom = (repo / "pipelines/cluster/kafka_broker/pom.xml").read_text(encoding="utf-8")
    kafka = re.search(r"<kafka\.version>(.+)</kafka\.version>", pom)
    assert kafka is not None
    compose = (repo / "infra/containers/compose.yaml").read_text(encoding="utf-8")
    assert f"image: apache/kafka:{kafka[1]}" in compose
    dockerfile = (repo / "infra/containers/flink.Dockerfile").read_text(encoding="utf-8")
    assert f"FROM flink:{FLINK_VERSION}-java17" in dockerfile


def test_files_of_the_image_exist(repo: Path) -> None:
    """Everything that the image copies from the checkout is there, and the worker can be executed."""
    text = (repo / "infra/containers/flink.Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.MULTILINE):
        for source in line.split()[:-1]:
            assert (repo / source).exists(), source
    assert (repo / "infra/containers/python-worker").stat().st_mode & 0o111


def test_topics_are_those_of_the_design(repo: Path) -> None:
    """The topic list is complete, and every topic has its partitions."""
    topics = yaml.safe_load((repo / "infra/kafka/topics.yaml").read_text(encoding="utf-8"))
    assert list(topics) == [
        *("readings", "registers", "events", "service-points", "edits"),
        *("tariffs", "tariff-events", "prices", "weather"),
    ]
    assert all(topic["partitions"] >= 1 for topic in topics.values())


def test_kubernetes_specs_name_one_another(repo: Path) -> None:
    """Both deployments run the image of the Dockerfile; the service has the JobManager's name and ports."""
    text = (repo / "infra/flink/kubernetes.yaml").read_text(encoding="utf-8")
    specs = {(spec["kind"], spec["metadata"]["name"]): spec for spec in yaml.safe_load_all(text)}
    service = specs["Service", "meterbeam-jobmanager"]["spec"]
    assert {port["name"]: port["port"] for port in service["ports"]} == {
        "rpc": 6123,
        "blob": 6124,
        "rest": 8081,
    }
    for component in ("jobmanager", "taskmanager"):
        template = specs["Deployment", f"meterbeam-{component}"]["spec"]["template"]
        (container,) = template["spec"]["containers"]
        assert container["image"] == "meterbeam-flink"
        assert container["args"] == [component]
    labels = specs["Deployment", "meterbeam-jobmanager"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
