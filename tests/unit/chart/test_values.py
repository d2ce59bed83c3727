"""A wrong value is refused before anything is installed, in words that name it."""

from __future__ import annotations

import json
import runpy
import subprocess
from collections.abc import Callable

import pytest

from tests.unit.chart.conftest import CHART, KINDS, ROOT

IMAGE = "registry.example.org/assay-cpu:0.1.0"
SCHEMA = {
    "nightly.enable=true": "at '/nightly': additional properties 'enable' not allowed",
    "security.seccompProfile=/etc/x.json": "at '/security/seccompProfile': '/etc/x.json' does not match pattern",
    "quota.hard.pods=8": "at '/quota/hard/pods': got number, want string",
    "profile.pods.train.memory=64GB": "at '/profile/pods/train/memory': '64GB' does not match pattern",
    "profile.pods.train.gpus=4": "at '/profile/pods/train': additional properties 'gpus' not allowed",
    "profile.training.launcher=mpi": "at '/profile/training/launcher': value must be one of 'pod', 'trainjob'",
    "profile.training.nodes=0": "at '/profile/training/nodes': minimum: got 0, want 1",
    "root=gs://bucket": "at '/root': 'gs://bucket' does not match pattern",
    "images.cpu=registry.example.org/assay-cpu": "at '/images/cpu': 'registry.example.org/assay-cpu' does not match",
    "images.pullPolicy=Sometimes": "at '/images/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    "pipelines.host=https://me:hunter2@kfp": "at '/pipelines/host'",
    "secrets[0].name=assay-s3,secrets[0].value=x": "at '/secrets/0': additional properties 'value' not allowed",
    "secrets[0].name=assay-s3": "at '/secrets/0': missing property 'keys'",
    "security.runAsUser=0": "at '/security/runAsUser': minimum: got 0, want 1",
    "modelCache.accessMode=RWX": "at '/modelCache/accessMode': value must be one of",
    "modelCache.path=cache": "at '/modelCache/path': 'cache' does not match pattern",
    "networkPolicy.s3.cidrs[0]=10.0.0.1": "at '/networkPolicy/s3/cidrs/0': '10.0.0.1' does not match pattern",
    "networkPolicy.hub.ports[0]=70000": "at '/networkPolicy/hub/ports/0': maximum: got 70,000, want 65,535",
    "nightly.cron=0 2 * * *": "at '/nightly/cron': '0 2 * * *' does not match pattern",
    "nightly.pipeline=pipelines/nightly": "at '/nightly/pipeline': 'pipelines/nightly' does not match pattern",
    "metrics.pushgateway.url=pushgateway:9091": "at '/metrics/pushgateway/url': 'pushgateway:9091' does not match",
    "serviceAccounts.admin.annotations.a=b": "at '/serviceAccounts': additional properties 'admin' not allowed",
}
NIGHTLY = (
    f"nightly.enabled=true,root=s3://assay,nightly.image={IMAGE},pipelines.host=http://kfp:8888,"
    f"images.cpu={IMAGE},images.train={IMAGE},images.infer={IMAGE}"
)
COMBINED = {
    NIGHTLY.replace("s3://assay", ""): "nightly.enabled needs root",
    NIGHTLY.replace(f"nightly.image={IMAGE}", "nightly.image="): "nightly.enabled needs nightly.image",
    NIGHTLY.replace(f"images.train={IMAGE}", "images.train="): "nightly.enabled needs images.train",
    NIGHTLY.replace("http://kfp:8888", ""): "nightly.enabled needs pipelines.host",
    "trainingRuntime.enabled=true": "trainingRuntime.enabled needs images.train",
    "profile.training.launcher=trainjob": "launcher is trainjob, which needs trainingRuntime.enabled=true",
    "pipelines.launcherConfig.create=true": "pipelines.launcherConfig.create needs root",
    "nightly.image=a/b:latest": 'nightly.image: "a/b:latest" may change under a run',
    "images.train=a/b:latest": 'images.train: "a/b:latest" may change under a run. Name a tag other than latest',
    "environment.AWS_SECRET_ACCESS_KEY=x": "environment.AWS_SECRET_ACCESS_KEY looks like a secret",
    "environment.HF_TOKEN=x": "environment.HF_TOKEN looks like a secret",
}


@pytest.mark.parametrize("wrong", [*SCHEMA, *COMBINED])
def test_a_wrong_value_is_refused_by_name(helm: Callable[..., subprocess.CompletedProcess[str]], wrong: str) -> None:
    served = [argument for kind in KINDS for argument in ("--api-versions", kind)]
    done = helm("template", "assay", str(CHART), "--set", wrong, *served)
    assert done.returncode != 0
    assert (SCHEMA | COMBINED)[wrong] in done.stderr


@pytest.mark.parametrize("right", [NIGHTLY, "environment.TOKENIZERS_PARALLELISM=x", "environment.AWS_CA_BUNDLE=x"])
def test_right_values_are_taken(helm: Callable[..., subprocess.CompletedProcess[str]], right: str) -> None:
    done = helm("template", "assay", str(CHART), "--set", right)
    assert done.returncode == 0, done.stderr


def test_the_schema_says_what_the_contracts_say() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "make_chart_schema.py"))["definitions"]()
    written = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["$defs"]
    assert {name: written.get(name) for name in made} == made, "run: python scripts/make_chart_schema.py"


def test_every_value_is_in_the_schema() -> None:
    import yaml

    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert set(values) == set(schema["properties"]) - {"global"}
    assert schema["additionalProperties"] is False
