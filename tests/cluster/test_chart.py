"""The chart on a real cluster: installed, changed, rolled back, removed; rights refused, quotas and budgets kept.

export KUBECONFIG=…                         any cluster one may make namespaces and CustomResourceDefinitions on
export ASSAY_CPU_IMAGE=assay-cpu:0.1.0      an image that its nodes have or can pull: `make images`
export ASSAY_NIGHTLY_IMAGE=…                likewise, for the nightly run: images/nightly/Containerfile
pytest -m cluster tests/cluster/test_chart.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import ACCESS_KEY, BUCKET, CHART, Cluster, Object, Pipelines, image_of, run

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def values(
    cluster: Cluster, store: str, address: str, pipelines: Pipelines, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Everything but the nightly run, whose image is another."""
    content = {
        "root": f"s3://{BUCKET}/lab",
        "images": dict.fromkeys(("cpu", "train", "infer"), cluster.image),
        "pipelines": {
            "host": f"http://{address}:{pipelines.server_port}",
            "launcherConfig": {"create": True, "endpoint": store},
        },
        "secrets": [
            {"name": "assay-s3", "keys": {key: key for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}},
            {
                "name": "assay-hub",
                "keys": {"HF_TOKEN": "token"},
                "optional": True,
                "external": {"store": {"name": "vault"}, "data": {"token": {"key": "hub"}}},
            },
        ],
        "environment": {"AWS_ENDPOINT_URL": store, "AWS_DEFAULT_REGION": "us-east-1"},
        "profile": {"pods": {"train": {"cpu": "100m", "memory": "256Mi", "accelerators": 0, "shm": "32Mi"}}},
        "modelCache": {"size": "1Gi", "storageClass": "assay-tests"},
        "trainingRuntime": {"enabled": True, "terminationGracePeriodSeconds": 1},
        "kueue": {
            "enabled": True,
            "clusterQueue": {"create": True, "name": cluster.namespace, "flavor": cluster.namespace},
        },
        "quota": {"enabled": True, "hard": {"requests.nvidia.com/gpu": "2", "requests.memory": "4Gi", "pods": "10"}},
        "disruptionBudget": {"enabled": True},
        "metrics": {"rules": {"enabled": True}, "dashboard": {"enabled": True}},
    }
    file = tmp_path_factory.mktemp("values") / "values.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def release(cluster: Cluster, values: Path) -> str:
    done = cluster.helm("install", "assay", str(CHART), "--values", str(values), "--wait", "--timeout", "3m")
    return done.stdout


def manifest(cluster: Cluster) -> list[tuple[str, str]]:
    """(resource, name) of every object of the release."""
    text = cluster.helm("get", "manifest", "assay").stdout
    found = [document for document in yaml.safe_load_all(text) if document]
    return [(_resource(entry), entry["metadata"]["name"]) for entry in found]


def _resource(entry: Object) -> str:
    """`networkpolicy.networking.k8s.io`, as kubectl takes it: the group tells kinds of one name apart."""
    group = entry["apiVersion"].rpartition("/")[0]
    return f"{entry['kind'].lower()}.{group}".rstrip(".")


def profile(cluster: Cluster) -> Object:
    text = cluster.get("configmap", "assay-profile")["data"]["profile.yaml"]
    found: Object = yaml.safe_load(text)
    return found


def test_install_makes_every_object_and_says_what_comes_next(cluster: Cluster, release: str) -> None:
    made = manifest(cluster)
    assert len(made) >= 22
    assert [(kind, name) for kind, name in made if not cluster.has(kind, name)] == []
    assert "helm test assay" in release
    assert "assay submit pipelines/math_ablation.py" in release


@pytest.mark.usefixtures("release")
def test_the_installed_profile_is_one_that_assay_reads(cluster: Cluster) -> None:
    from assay.contracts.profile import Profile

    read = Profile.model_validate(profile(cluster))
    assert read.cluster is not None
    assert read.cluster.namespace == cluster.namespace
    assert cluster.has("serviceaccount", read.cluster.service_account)
    assert cluster.has("trainingruntime", read.cluster.training.runtime)
    claim = cluster.get("persistentvolumeclaim", read.cluster.model_cache.claim if read.cluster.model_cache else "")
    assert claim["status"]["phase"] == "Bound"


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(("identity", "verb", "resource", "answer"), [
    ("run", "list", "pods", True),
    ("run", "get", "log", True),
    ("run", "list", "events", True),
    ("run", "create", "trainjobs.trainer.kubeflow.org", True),
    ("run", "delete", "trainjobs.trainer.kubeflow.org", True),
    ("run", "get", "configmaps/kfp-launcher", True),
    ("run", "get", "configmaps/assay-profile", False),
    ("run", "get", "secrets", False),
    ("run", "get", "secrets/assay-s3", False),
    ("run", "create", "pods", False),
    ("run", "create", "exec", False),
    ("run", "delete", "pods", False),
    ("run", "list", "nodes", False),
    ("run", "create", "runs.pipelines.kubeflow.org", False),
    ("submit", "create", "runs.pipelines.kubeflow.org", True),
    ("submit", "create", "jobs.pipelines.kubeflow.org", True),
    ("submit", "get", "configmaps/assay-profile", True),
    ("submit", "list", "pods", False),
    ("submit", "create", "trainjobs.trainer.kubeflow.org", False),
    ("submit", "get", "secrets", False),
    ("train", "list", "pods", False),
    ("train", "get", "trainjobs.trainer.kubeflow.org", False),
    ("train", "get", "configmaps/kfp-launcher", False),
])  # fmt: skip
def test_the_api_server_grants_what_was_meant(
    cluster: Cluster, identity: str, verb: str, resource: str, answer: bool
) -> None:
    assert cluster.may(identity, verb, resource) is answer


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("identity", ["submit", "run", "train"])
def test_no_identity_reaches_another_namespace(cluster: Cluster, identity: str) -> None:
    listed = cluster.kubectl("get", "pods", "--all-namespaces", "--as", cluster.account(identity), check=False)
    assert "Forbidden" in listed.stderr


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(("identity", "arguments"), [
    ("run", ("get", "secret", "assay-s3")),
    ("run", ("delete", "pod", "any")),
    ("submit", ("get", "pods")),
    ("train", ("get", "configmap", "assay-profile")),
])  # fmt: skip
def test_a_forbidden_call_is_refused_to_the_identitys_own_token(
    cluster: Cluster, identity: str, arguments: tuple[str, ...]
) -> None:
    token = cluster.kubectl("create", "token", f"assay-{identity}").stdout.strip()
    server = run("kubectl", "config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}").stdout
    named = ("--kubeconfig", "/dev/null", "--server", server, "--insecure-skip-tls-verify", "--token", token)
    done = run("kubectl", *named, "--namespace", cluster.namespace, *arguments, check=False)
    assert done.returncode != 0
    assert "Forbidden" in done.stderr
    assert cluster.account(identity) in done.stderr


@pytest.mark.usefixtures("release")
def test_steps_may_run_trainjobs_with_their_own_token(cluster: Cluster) -> None:
    spec = {"runtimeRef": {"kind": "TrainingRuntime", "name": "assay-train"}, "suspend": True}
    kind = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob"}
    job = kind | {"metadata": {"name": "by-steps"}, "spec": spec}
    cluster.kubectl("create", "--as", cluster.account("run"), "--filename", "-", stdin=job)
    cluster.kubectl("delete", "trainjob", "by-steps", "--as", cluster.account("run"), "--wait=false")


@pytest.mark.usefixtures("release")
def test_helm_test_checks_store_and_pipelines_as_a_step(cluster: Cluster) -> None:
    done = cluster.helm("test", "assay", "--logs", "--timeout", "4m")
    assert "refuses a second creation" in done.stdout
    assert "multi_user" in done.stdout


def as_job(runtime: Object, image: str, script: str) -> Object:
    """The runtime's pod as a Job of this cluster, with another command; what Trainer would make of it.

    Pod failure policies came with Kubernetes 1.26, and are dropped for older servers.
    """
    spec = json.loads(json.dumps(runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]))
    spec.pop("podFailurePolicy")
    spec["template"]["spec"]["containers"][0] |= {"image": image, "command": ["python", "-c", script]}
    metadata = {"name": "rank", "labels": spec["template"]["metadata"]["labels"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


LOOK = """
import json, os, pathlib

def writable(path):
    try:
        pathlib.Path(path, "probe").write_text("x")
        return True
    except OSError:
        return False

shm = os.statvfs("/dev/shm")
token = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
print(json.dumps({"uid": os.getuid(), "gid": os.getgid(), "root": writable("/"), "home": writable("/venv"),
    "tmp": writable("/tmp"), "shm": writable("/dev/shm"), "shm_bytes": shm.f_blocks * shm.f_frsize, "token": token,
    "cache": os.path.isdir("/cache"), "key": os.environ["AWS_ACCESS_KEY_ID"], "hub": "HF_TOKEN" in os.environ,
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")],
    "seccomp": [line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp:")]}))
import time; time.sleep(90)
"""


@pytest.fixture(scope="module")
def rank(cluster: Cluster, release: str) -> Iterator[Object]:
    """A running training pod."""
    assert release
    job = as_job(cluster.get("trainingruntime", "assay-train"), cluster.image, LOOK)
    cluster.kubectl("create", "--filename", "-", stdin=job)

    def running() -> Object | None:
        found = json.loads(cluster.kubectl("get", "pods", "--selector=job-name=rank", "--output", "json").stdout)[
            "items"
        ]
        ready = [pod for pod in found if pod["status"]["phase"] == "Running"]
        return ready[0] if ready else None

    try:
        yield cluster.wait(running)
    finally:
        cluster.kubectl("delete", "job", "rank", "--cascade=background", "--grace-period=0")
        cluster.wait(lambda: not cluster.kubectl("get", "pods", "--selector=job-name=rank", "--output=name").stdout)


def test_a_training_pod_is_confined_and_has_what_training_needs(cluster: Cluster, rank: Object) -> None:
    name = rank["metadata"]["name"]
    seen = json.loads(cluster.wait(lambda: cluster.kubectl("logs", name).stdout))
    assert (seen["uid"], seen["gid"]) == (65532, 65532)
    assert (seen["root"], seen["home"], seen["tmp"], seen["shm"]) == (False, False, True, True)
    assert seen["token"] is False
    assert seen["cache"] is True
    assert (seen["key"], seen["hub"]) == (ACCESS_KEY, False)
    assert int(seen["capabilities"][0], 16) == 0
    assert seen["shm_bytes"] > 0


def test_a_training_pod_is_not_evicted(cluster: Cluster, rank: Object) -> None:
    name = rank["metadata"]["name"]
    budget = "assay-train"
    cluster.wait(lambda: cluster.get("poddisruptionbudget", budget)["status"].get("expectedPods") == 1)
    version = cluster.get("poddisruptionbudget", budget)["apiVersion"]
    eviction = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": name, "namespace": cluster.namespace}}
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{name}/eviction"
    done = cluster.kubectl("create", "--raw", path, "--filename", "-", stdin=eviction, check=False)
    assert done.returncode != 0
    assert "disruption budget" in done.stderr


def plain_pod(name: str, image: str, resources: Object) -> Object:
    container = {"name": "main", "image": image, "command": ["sleep", "1"], "resources": resources}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("resources", [
    {"requests": {"memory": "5Gi"}, "limits": {"memory": "5Gi"}},
    {"requests": {"memory": "1Mi", "nvidia.com/gpu": "3"}, "limits": {"memory": "1Mi", "nvidia.com/gpu": "3"}},
], ids=["memory", "accelerators"])  # fmt: skip
def test_more_than_the_quota_is_refused(cluster: Cluster, resources: Object) -> None:
    pod = plain_pod("greedy", cluster.image, resources)
    done = cluster.kubectl("create", "--dry-run=server", "--filename", "-", stdin=pod, check=False)
    assert done.returncode != 0
    assert "exceeded quota: assay" in done.stderr


@pytest.mark.usefixtures("release")
def test_a_job_that_the_quota_refuses_is_explained_to_the_run_identity(cluster: Cluster) -> None:
    template = plain_pod("x", cluster.image, {"requests": {"memory": "5Gi"}, "limits": {"memory": "5Gi"}})
    spec = {"backoffLimit": 0, "template": {"spec": template["spec"] | {"restartPolicy": "Never"}}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "greedy"}, "spec": spec}
    cluster.kubectl("create", "--filename", "-", stdin=job)
    asked = ("get", "events", "--as", cluster.account("run"), "--field-selector=reason=FailedCreate", "--output=json")
    events = cluster.wait(lambda: json.loads(cluster.kubectl(*asked).stdout)["items"])
    assert "exceeded quota: assay" in events[0]["message"]
    cluster.kubectl("delete", "job", "greedy", "--wait=false")


@pytest.mark.usefixtures("release")
def test_a_container_that_asks_for_nothing_gets_the_defaults(cluster: Cluster) -> None:
    pod = plain_pod("modest", cluster.image, {})
    done = cluster.kubectl("create", "--dry-run=server", "--output=json", "--filename", "-", stdin=pod)
    resources = json.loads(done.stdout)["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}}


def test_upgrade_changes_what_changed_and_rollback_brings_it_back(cluster: Cluster, release: str, values: Path) -> None:
    assert release
    before = profile(cluster)
    change = ("--set", "profile.training.nodes=3,metrics.dashboard.enabled=false", "--set-string", "quota.hard.pods=20")
    cluster.helm("upgrade", "assay", str(CHART), "--values", str(values), *change)
    assert profile(cluster)["cluster"]["training"]["nodes"] == 3
    assert cluster.get("trainingruntime", "assay-train")["spec"]["mlPolicy"]["numNodes"] == 3
    assert cluster.get("resourcequota", "assay")["spec"]["hard"]["pods"] == "20"
    assert not cluster.has("configmap", "assay-dashboard")
    cluster.helm("rollback", "assay", "1")
    assert profile(cluster) == before
    assert cluster.get("resourcequota", "assay")["spec"]["hard"]["pods"] == "10"
    assert cluster.has("configmap", "assay-dashboard")
    history = json.loads(cluster.helm("history", "assay", "--output", "json").stdout)
    assert [entry["status"] for entry in history] == ["superseded", "superseded", "deployed"]


def test_a_refused_upgrade_changes_nothing(cluster: Cluster, release: str, values: Path) -> None:
    assert release
    before = profile(cluster)
    wrong = ("--values", str(values), "--set", "quota.hard.pods=lots")
    done = cluster.helm("upgrade", "assay", str(CHART), *wrong, check=False)
    assert done.returncode != 0
    assert "at '/quota/hard/pods': 'lots' does not match pattern" in done.stderr
    assert profile(cluster) == before


def test_the_nightly_is_registered_once_and_replaced(
    cluster: Cluster, release: str, values: Path, pipelines: Pipelines
) -> None:
    assert release
    image = image_of("ASSAY_NIGHTLY_IMAGE")
    upgrade = ("upgrade", "assay", str(CHART), "--values", str(values), "--timeout", "5m", "--set")
    told = cluster.helm(*upgrade, f"nightly.enabled=true,nightly.image={image}").stdout
    assert "The nightly run assay-nightly (at the time that its file names) is registered" in told
    assert recurring(pipelines) == [("assay-nightly", "0 0 2 * * *")]
    cluster.helm(*upgrade, f"nightly.enabled=true,nightly.image={image},nightly.cron=0 30 3 * * *")
    assert recurring(pipelines) == [("assay-nightly", "0 30 3 * * *")]
    assert pipelines.subjects() == {(cluster.account("submit"), "pipelines.kubeflow.org")}


def recurring(pipelines: Pipelines) -> list[tuple[str, str]]:
    """(name, cron) of the recurring runs."""
    runs = pipelines.double.api.recurring.values()
    return [(run.display_name, run.trigger.cron_schedule.cron) for run in runs]


def test_uninstall_leaves_the_model_cache_and_nothing_else(
    cluster: Cluster, release: str, pipelines: Pipelines
) -> None:
    assert release
    made = manifest(cluster)
    cluster.helm("uninstall", "assay", "--wait", "--timeout", "5m")
    assert recurring(pipelines) == []
    assert [(kind, name) for kind, name in made if cluster.has(kind, name)] == [
        ("persistentvolumeclaim", "assay-model-cache")
    ]
