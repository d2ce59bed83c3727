"""What the chart renders is what Kubernetes takes, and no more than Assay needs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest

from tests.unit.chart.conftest import CHART, VALUES, Objects, Render, as_jobs, of_kind, pods, templates

NEWEST = kubernetes_validate.latest_version()
CUSTOM = {"ClusterQueue", "ExternalSecret", "LocalQueue", "PrometheusRule", "ResourceFlavor", "TrainingRuntime"}


@pytest.mark.parametrize("values", [[], *(["--values", str(file)] for file in VALUES)], ids=str)
def test_the_chart_passes_helms_linter(
    helm: Callable[..., subprocess.CompletedProcess[str]], values: list[str]
) -> None:
    done = helm("lint", "--strict", str(CHART), *values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_object_fits_the_newest_schema(objects: Objects) -> None:
    known = [found for found in objects if found["kind"] not in CUSTOM]
    assert len(known) >= 9
    for found in (*known, *as_jobs(objects)):
        kubernetes_validate.validate(found, NEWEST, strict=True)


def test_the_defaults_need_no_operator(defaults: Objects) -> None:
    assert {found["kind"] for found in defaults} & CUSTOM == set()


def test_everything_switched_on_renders_every_kind(everything: Objects) -> None:
    assert {found["kind"] for found in everything} >= CUSTOM | {
        "ConfigMap", "Job", "LimitRange", "NetworkPolicy", "PersistentVolumeClaim", "Pod", "PodDisruptionBudget",
        "ResourceQuota", "Role", "RoleBinding", "ServiceAccount",
    }  # fmt: skip


def test_every_namespaced_object_names_its_namespace(everything: Objects) -> None:
    homeless = [found for found in everything if found["metadata"].get("namespace") != "lab"]
    assert {found["kind"] for found in homeless} == {"ClusterQueue", "ResourceFlavor"}


def test_old_clusters_get_the_versions_they_know(render: Render) -> None:
    old = render("--set", "disruptionBudget.enabled=true", "--kube-version", "1.20.2")
    assert of_kind(old, "PodDisruptionBudget")["assay-train"]["apiVersion"] == "policy/v1beta1"


@pytest.mark.parametrize(("operator", "setting"), [
    ("Kubeflow Trainer", ("trainingRuntime.enabled=true", "images.train=a/b:1")),
    ("Kueue", ("kueue.enabled=true",)),
    ("the Prometheus operator", ("metrics.rules.enabled=true",)),
])  # fmt: skip
def test_a_missing_operator_is_named(
    helm: Callable[..., subprocess.CompletedProcess[str]], operator: str, setting: tuple[str, ...]
) -> None:
    done = helm("template", "assay", str(CHART), "--set", ",".join(setting))
    assert done.returncode != 0
    assert f"Install {operator} first, or set {setting[0].replace('true', 'false')}" in done.stderr


def test_every_pod_is_restricted(everything: Objects) -> None:
    found = pods(everything)
    assert set(found) == {"assay-check", "assay-nightly-register", "assay-nightly-unregister", "assay-train-node"}
    for pod in found.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "runAsNonRoot": True,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
        assert all("hostPath" not in volume for volume in pod["volumes"])
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}


def test_a_profile_of_the_nodes_own_lets_programs_be_judged(render: Render) -> None:
    """Bubblewrap needs namespaces, which the runtime's profile refuses; Pod Security `restricted` allows both kinds."""
    values = ("--values", str(CHART / "ci" / "everything-values.yaml"))
    for pod in pods(render(*values, "--set", "security.seccompProfile=profiles/assay-sandbox.json")).values():
        wanted = {"type": "Localhost", "localhostProfile": "profiles/assay-sandbox.json"}
        assert pod["securityContext"]["seccompProfile"] == wanted
        assert [container["securityContext"]["seccompProfile"] for container in pod["containers"]] == [wanted]


def test_no_pod_takes_a_mesh_sidecar_that_would_outlive_it(everything: Objects) -> None:
    for template in templates(everything).values():
        assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_no_secret_is_made_and_none_is_held(everything: Objects) -> None:
    assert of_kind(everything, "Secret") == {}
    variables = [
        variable
        for pod in pods(everything).values()
        for container in pod["containers"]
        for variable in container["env"]
    ]
    secret = {variable["name"] for variable in variables if "valueFrom" in variable}
    assert secret == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"}
    assert all("secretKeyRef" in variable["valueFrom"] for variable in variables if variable["name"] in secret)


def test_an_external_secret_fills_the_secret_that_steps_name(everything: Objects) -> None:
    spec = of_kind(everything, "ExternalSecret")["assay-s3"]["spec"]
    assert spec["target"] == {"name": "assay-s3", "creationPolicy": "Owner"}
    assert spec["secretStoreRef"] == {"name": "vault", "kind": "ClusterSecretStore"}
    assert {entry["secretKey"] for entry in spec["data"]} == {"access-key-id", "secret-access-key"}


def test_the_model_cache_outlives_the_release(defaults: Objects, render: Render) -> None:
    claim = of_kind(defaults, "PersistentVolumeClaim")["assay-model-cache"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert "storageClassName" not in claim["spec"]
    assert of_kind(render("--set", "modelCache.existingClaim=models"), "PersistentVolumeClaim") == {}


def test_quantities_are_strings(everything: Objects) -> None:
    hard = of_kind(everything, "ResourceQuota")["assay"]["spec"]["hard"]
    assert hard["requests.nvidia.com/gpu"] == "8"
    assert all(isinstance(amount, str) for amount in hard.values())
    limits = of_kind(everything, "LimitRange")["assay"]["spec"]["limits"][0]
    assert all(isinstance(amount, str) for amount in (*limits["default"].values(), *limits["defaultRequest"].values()))


def test_nothing_comes_in_and_little_goes_out(defaults: Objects) -> None:
    policies = of_kind(defaults, "NetworkPolicy")
    everyone, train = policies["assay"]["spec"], policies["assay-train"]["spec"]
    assert everyone["podSelector"] == {}
    assert everyone["policyTypes"] == ["Ingress", "Egress"]
    assert everyone["ingress"] == []
    ports = sorted({port["port"] for rule in everyone["egress"] for port in rule["ports"]})
    assert ports == [53, 443, 6443, 8080, 8887, 8888]
    assert train["ingress"][0]["from"] == train["egress"][0]["to"] == [{"podSelector": train["podSelector"]}]


def test_every_cidr_can_be_narrowed(render: Render) -> None:
    narrow = render("--values", str(CHART / "ci" / "narrow-values.yaml"))
    egress = of_kind(narrow, "NetworkPolicy")["assay"]["spec"]["egress"]
    blocks = [peer["ipBlock"] for rule in egress for peer in rule["to"] if "ipBlock" in peer]
    assert "0.0.0.0/0" not in [block["cidr"] for block in blocks]
    assert all("except" not in block for block in blocks)  # an exception must lie inside its CIDR


def test_training_pods_are_those_that_policy_and_budget_select(everything: Objects) -> None:
    labels = next(as_jobs(everything))["spec"]["template"]["metadata"]["labels"]
    budget = of_kind(everything, "PodDisruptionBudget")["assay-train"]["spec"]
    policy = of_kind(everything, "NetworkPolicy")["assay-train"]["spec"]
    assert budget["selector"]["matchLabels"] == policy["podSelector"]["matchLabels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_a_default_queue_takes_the_jobs_that_name_none(everything: Objects) -> None:
    assert of_kind(everything, "LocalQueue")["default"]["spec"] == {"clusterQueue": "assay"}
    group = of_kind(everything, "ClusterQueue")["assay"]["spec"]["resourceGroups"][0]
    assert group["coveredResources"] == [quota["name"] for quota in group["flavors"][0]["resources"]]
    assert group["flavors"][0]["name"] in of_kind(everything, "ResourceFlavor")


def command(everything: Objects, job: str) -> list[str]:
    """What the job's shell is given after its own two arguments."""
    container = of_kind(everything, "Job")[job]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][:2] == ["sh", "-c"]
    words: list[str] = container["command"][4:]
    return words


def test_the_nightly_is_registered_with_the_submit_identity(everything: Objects) -> None:
    job = of_kind(everything, "Job")["assay-nightly-register"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade,post-rollback"
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "assay-submit"
    token = next(volume for volume in job["spec"]["template"]["spec"]["volumes"] if volume["name"] == "token")
    assert token["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"


def test_the_nightlys_command_is_one_that_assay_has(everything: Objects) -> None:
    import typer

    from assay.cli.main import app

    commands = typer.main.get_command(app)
    for job in ("assay-nightly-register", "assay-nightly-unregister"):
        group, verb, *rest = command(everything, job)
        subcommand = commands.commands[group].commands[verb]  # type: ignore[attr-defined]
        context = subcommand.make_context(verb, rest, resilient_parsing=False)
        assert context.params["host"] == "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
        assert context.params["name"] == "assay-nightly"
        assert str(context.params["profile"]) == "/etc/assay/profile.yaml"
        if verb == "create":
            assert context.params["overrides"] == ["train.steps=20"]
            assert context.params["cron"] == "0 30 1 * * *"


def test_the_nightly_ends_with_the_release(everything: Objects) -> None:
    job = of_kind(everything, "Job")["assay-nightly-unregister"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert command(everything, "assay-nightly-unregister")[:3] == ["schedule", "delete", "assay-nightly"]


def test_identities_carry_their_cloud_role_and_only_steps_a_token(everything: Objects) -> None:
    accounts = of_kind(everything, "ServiceAccount")
    assert {name: account["automountServiceAccountToken"] for name, account in accounts.items()} == {
        "assay-submit": False, "assay-run": True, "assay-train": False,
    }  # fmt: skip
    role = accounts["assay-run"]["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    assert role == "arn:aws:iam::123456789012:role/assay-run"


def test_the_launcher_takes_credentials_from_the_environment(everything: Objects) -> None:
    import yaml

    providers: Any = yaml.safe_load(of_kind(everything, "ConfigMap")["kfp-launcher"]["data"]["providers"])
    assert providers["s3"]["default"]["credentials"] == {"fromEnv": True}
    assert "secret" not in json.dumps(providers).lower()
