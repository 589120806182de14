"""The files for Kubernetes refer to things that exist, and to each other."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import DEPLOY, HOME, IMAGE, PROJECT, parse, pinned

from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.pipeline import read_pipeline

KUBE = DEPLOY / "kuberay"
FILES = [path for path in sorted(KUBE.glob("*.yaml")) if "values" not in path.name]
DOCUMENTS: list[dict[str, Any]] = [document for path in FILES for document in yaml.safe_load_all(path.read_text())]
VALUES = yaml.safe_load((KUBE / "raycluster-values.yaml").read_text())
CONFIG_MAPS = {d["metadata"]["name"]: d["data"] for d in DOCUMENTS if d["kind"] == "ConfigMap"}


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [document for document in DOCUMENTS if document["kind"] == kind]
    return found


def nested(tree: Any, key: str) -> Iterator[Any]:
    """Yield every value that stands under a key, however deep."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from nested(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from nested(value, key)


ALL = [*DOCUMENTS, VALUES]


def test_every_document_is_of_a_known_kind() -> None:
    kinds = {(d["apiVersion"], d["kind"]) for d in DOCUMENTS}
    assert kinds == {("v1", "ConfigMap"), ("ray.io/v1", "RayJob"), ("batch/v1", "CronJob")}


def test_images_are_ours_and_of_this_version() -> None:
    images = {image for image in nested(ALL, "image") if isinstance(image, str)}
    images |= {f"{image['repository']}:{image['tag']}" for image in nested(ALL, "image") if isinstance(image, dict)}
    assert images == {f"{IMAGE}:{PROJECT['version']}", f"{IMAGE}:{PROJECT['version']}-cuda"}
    built = set(re.findall(r"-t (\S+)", (DEPLOY / "docker" / "Dockerfile").read_text()))
    assert images == built


def test_ray_is_the_tested_one() -> None:
    assert set(nested(ALL, "rayVersion")) == {pinned("ray")}


def test_config_maps_that_are_named_exist() -> None:
    named = {ref["name"] for ref in nested(ALL, "configMapRef")} | {
        volume["name"] for volume in nested(ALL, "configMap")
    }
    assert named == set(CONFIG_MAPS)


def test_secrets_are_optional() -> None:
    secrets = list(nested(ALL, "secretRef"))
    assert secrets
    assert all(secret["optional"] for secret in secrets)


def test_mounts_have_volumes() -> None:
    holders = [VALUES["head"], of_kind("RayJob")["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]]
    for holder in holders:
        volumes = {volume["name"] for volume in holder["volumes"]}
        assert {mount["name"] for mounts in nested(holder, "volumeMounts") for mount in mounts} == volumes


def test_the_job_of_a_night_is_a_command_of_ours() -> None:
    program, *words = shlex.split(of_kind("RayJob")["spec"]["entrypoint"])
    assert program == f"{HOME}/bin/spectroflow"
    found = parse(words)
    assert found["pipeline"] == "/etc/spectroflow/pipeline.toml"
    assert found["json"]


def test_the_nightly_job_submits_to_the_cluster_of_the_values() -> None:
    spec = of_kind("CronJob")["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == [f"{HOME}/bin/spectroflow"]
    found = parse(container["args"])
    assert found["cluster"] == f"http://{VALUES['fullnameOverride']}-head-svc:8265"
    (mount,) = VALUES["head"]["volumeMounts"]
    assert Path(found["pipeline"]).parent == Path(mount["mountPath"]), "the head reads the pipeline where it is mounted"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert re.fullmatch(r"\S+( \S+){4}", spec["schedule"])
    assert pod["securityContext"]["runAsNonRoot"]


def test_exit_codes_that_need_a_person_are_not_tried_again() -> None:
    job = of_kind("CronJob")["spec"]["jobTemplate"]["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [2, 3, 4, 5]
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a pod failure policy asks for it"


def test_limits_are_requests() -> None:
    """Ray plans with what a pod is granted, so a worker must not be granted less than it is told."""
    groups = [VALUES["head"], VALUES["worker"], *VALUES["additionalWorkerGroups"].values()]
    resources = [group["resources"] for group in groups]
    resources += list(nested(of_kind("RayJob"), "resources"))
    assert len(resources) == 5
    assert all(each["limits"] == each["requests"] for each in resources)


def test_the_pipeline_is_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = CONFIG_MAPS["spectroflow-pipeline"]["pipeline.toml"]
    assert text == (DEPLOY / "pipeline.toml").read_text(), "one pipeline for every way to run it"
    (tmp_path / "pipeline.toml").write_text(text)
    environment = CONFIG_MAPS["spectroflow-environment"]
    assert set(re.findall(r"\$\{(\w+)\}", text.split("[pipeline]")[1])) == set(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    pipeline, _ = read_pipeline(str(tmp_path / "pipeline.toml"), JobOptions())
    assert pipeline.archive == "s3://spectra/spectroflow/archive"
    assert pipeline.sources == ("s3://spectra/incoming",)
