"""TrainJobs on a real cluster: real pods that finish, fail, run out of memory, cannot be scheduled, cannot be created.

    export KUBECONFIG=…                         any cluster one may make namespaces and CustomResourceDefinitions on
    export ASSAY_CPU_IMAGE=assay-cpu:0.1.0      an image that its nodes have or can pull: `make images`
    pytest -m cluster tests/cluster/test_trainjob.py

Kubeflow Trainer itself is played: a definition that takes any TrainJob, and a controller that makes a batch/v1 Job of
each, as a TrainingRuntime with one replicated job `node` would. Where Trainer is installed these tests skip.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from assay.contracts.errors import InputError, InvariantError, StageError
from assay.contracts.launch import RUN_ID, SecretVariable, TrainJob
from assay.launch.jobs import GROUP, PLURAL, VERSION, find, find_all
from assay.launch.kube import Kube, connect
from assay.launch.pods import explain_pods
from assay.launch.runs import release
from assay.launch.trainjob import run_trainjob
from tests.cluster.conftest import image_of

pytestmark = pytest.mark.cluster

NODE = "train plain/seed0"
CRD = f"{PLURAL}.{GROUP}"
WORKER = """
import os, sys, time
from assay.contracts.errors import InvariantError
from assay.launch.last_words import leave
how = sys.argv[1]
print(how, "rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], flush=True)
if how == "invariant":
    error = InvariantError("step 0: KL 0.3 between trainer and sampler")
    leave(error)
    sys.exit(error.exit_code)
if how == "greedy":
    hoard = [bytearray(b"x" * (64 << 20)) for _ in range(64)]
if how == "slow":
    time.sleep(15)
print("trained", flush=True)
"""


class Trainer(threading.Thread):
    """Kubeflow Trainer, as far as one replicated job goes."""

    def __init__(self, kube: Kube) -> None:
        super().__init__(daemon=True)
        from kubernetes.client import BatchV1Api

        self.kube, self.batch, self.stopped = kube, BatchV1Api(), threading.Event()
        self.uids: list[str] = []
        """Of every TrainJob it ever saw."""

    def run(self) -> None:
        where = (GROUP, VERSION, self.kube.namespace, PLURAL)
        while not self.stopped.wait(0.3):
            for job in self.kube.custom.list_namespaced_custom_object(*where)["items"]:
                if "deletionTimestamp" not in job["metadata"]:
                    self._reconcile(job)

    def _reconcile(self, job: dict[str, Any]) -> None:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        if uid not in self.uids:
            self.uids.append(uid)
        made = {one.metadata.name: one for one in self.batch.list_namespaced_job(self.kube.namespace).items}
        if f"{name}-node-0" not in made:
            self.batch.create_namespaced_job(self.kube.namespace, batch_job(job))
            return
        for one in made[f"{name}-node-0"].status.conditions or ():
            if one.status == "True" and not job.get("status"):
                self._tell(name, one)

    def _tell(self, name: str, seen: Any) -> None:
        from kubernetes.client import ApiException

        at = seen.last_transition_time.isoformat()
        told = {"type": seen.type, "status": "True", "reason": seen.reason or seen.type, "message": seen.message or ""}
        status = {"status": {"conditions": [told | {"lastTransitionTime": at}]}}
        where = (GROUP, VERSION, self.kube.namespace, PLURAL, name)
        try:
            self.kube.custom.patch_namespaced_custom_object_status(*where, status)
        except ApiException as error:
            if error.status != 404:  # deleted meanwhile
                raise


def batch_job(job: dict[str, Any]) -> dict[str, Any]:
    """What Trainer and JobSet make of a TrainJob, without the JobSet between."""
    metadata, trainer = job["metadata"], job["spec"]["trainer"]
    owner = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainJob", "name": metadata["name"], "uid": metadata["uid"]}
    (patch,) = job["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    patched = replicated["template"]["spec"]["template"]
    meeting = {"PET_NNODES": "1", "PET_NODE_RANK": "0", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": "29400"}
    meeting["PET_NPROC_PER_NODE"] = str(trainer["numProcPerNode"])
    container = {
        "name": "node",
        "image": trainer["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": trainer["command"],
        "env": [*trainer["env"], *({"name": name, "value": value} for name, value in meeting.items())],
        "resources": trainer["resourcesPerNode"],
        "volumeMounts": [{"name": "worker", "mountPath": "/worker"}, {"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
    }
    pod = {
        "containers": [container],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "volumes": [{"name": "worker", "configMap": {"name": "worker"}}, {"name": "tmp", "emptyDir": {}}],
        **patched["spec"],
    }
    labels = patched["metadata"]["labels"] | {"jobset.sigs.k8s.io/jobset-name": metadata["name"]}
    return {
        "metadata": {
            "name": f"{metadata['name']}-node-0",
            "labels": labels,
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    """A namespace with the definition of TrainJobs and the worker's code."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: these tests need a cluster")
    from kubernetes import client

    image_of("ASSAY_CPU_IMAGE")
    made = connect(f"assay-trainjob-{uuid.uuid4().hex[:6]}")
    definitions = client.ApiextensionsV1Api()
    _define(definitions)
    made.core.create_namespace({"metadata": {"name": made.namespace}})
    worker = {"metadata": {"name": "worker"}, "data": {"tiny_worker.py": WORKER}}
    made.core.create_namespaced_config_map(made.namespace, worker)
    eventually(lambda: made.core.list_namespaced_service_account(made.namespace).items)
    yield made
    made.core.delete_namespace(made.namespace)
    definitions.delete_custom_resource_definition(CRD)
    eventually(lambda: CRD not in [one.metadata.name for one in definitions.list_custom_resource_definition().items])


def _define(definitions: Any) -> None:
    from kubernetes.client import ApiException

    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    names = {"plural": PLURAL, "singular": "trainjob", "kind": "TrainJob"}
    versions = [version | {"subresources": {"status": {}}}]
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": versions}
    try:
        definitions.create_custom_resource_definition({"metadata": {"name": CRD}, "spec": spec})
    except ApiException as error:
        if error.status == 409:
            pytest.skip(f"{CRD} is defined already: Kubeflow Trainer, or another test, is at work here")
        raise
    eventually(lambda: _established(definitions))


def _established(definitions: Any) -> bool:
    told = definitions.read_custom_resource_definition(CRD).status.conditions or ()
    return any(one.type == "Established" and one.status == "True" for one in told)


@pytest.fixture
def trainer(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    """The controller at work; what a test leaves is given back."""
    monkeypatch.setenv(RUN_ID, "run-1")
    playing = Trainer(kube)
    playing.start()
    yield playing
    playing.stopped.set()
    playing.join()
    release(kube, "run-1")
    eventually(lambda: not find_all(kube, "assay.dev/key"))


def eventually(what: Callable[[], Any], within_s: float = 180) -> Any:
    end_s = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.3)
    return found


def spec(kube: Kube, **changed: Any) -> TrainJob:
    fields = {"namespace": kube.namespace, "runtime": "assay-train", "image": os.environ["ASSAY_CPU_IMAGE"]}
    environment = {"PYTHONPATH": "/worker", "OMP_NUM_THREADS": "1"}
    small = {"cpu": "100m", "memory": "1Gi", "environment": environment, "poll_s": 0.5, "deadline_s": 300}
    return TrainJob(**{**fields, **small, **changed})


def argv(how: str) -> list[str]:
    return ["python", "-m", "assay.launch.ranks", "-m", "tiny_worker", how]


def a_key() -> str:
    return uuid.uuid4().hex[:20]


def pods(kube: Kube, key: str) -> list[Any]:
    found: list[Any] = kube.core.list_namespaced_pod(kube.namespace, label_selector=f"assay.dev/key={key}").items
    return found


def running(kube: Kube, key: str) -> list[Any]:
    return [pod for pod in pods(kube, key) if pod.status.phase == "Running"]


@pytest.mark.usefixtures("trainer")
def test_training_runs_to_its_end_in_a_pod_of_its_own(kube: Kube) -> None:
    key = a_key()
    run_trainjob(argv("well"), spec(kube), NODE, key, kube)
    (pod,) = pods(kube, key)
    assert pod.status.phase == "Succeeded"
    log = kube.core.read_namespaced_pod_log(pod.metadata.name, kube.namespace)
    assert "well rank 0 of 1" in log
    assert release(kube, "run-1") == (f"assay-train-{key}",)
    eventually(lambda: not pods(kube, key))


def test_a_launcher_that_is_killed_finds_its_job_again(kube: Kube, trainer: Trainer) -> None:
    key = a_key()
    program = (
        "from assay.contracts.launch import TrainJob; from assay.launch.trainjob import run_trainjob; "
        f"run_trainjob({argv('slow')!r}, TrainJob(**{spec(kube).model_dump()!r}), {NODE!r}, {key!r})"
    )
    launcher = subprocess.Popen([sys.executable, "-c", program])
    eventually(lambda: running(kube, key))
    launcher.kill()
    launcher.wait(10)
    run_trainjob(argv("slow"), spec(kube), NODE, key, kube)
    assert len(trainer.uids) == 1
    assert [pod.status.phase for pod in pods(kube, key)] == ["Succeeded"]


def test_a_pod_that_is_deleted_is_replaced_within_the_same_job(kube: Kube, trainer: Trainer) -> None:
    key = a_key()
    waiting = threading.Thread(target=run_trainjob, args=(argv("slow"), spec(kube), NODE, key, kube))
    waiting.start()
    (first,) = eventually(lambda: running(kube, key))
    kube.core.delete_namespaced_pod(first.metadata.name, kube.namespace)
    waiting.join(240)
    assert not waiting.is_alive()
    assert len(trainer.uids) == 1
    assert "Succeeded" in [pod.status.phase for pod in pods(kube, key)]


@pytest.mark.usefixtures("trainer")
def test_the_error_in_the_pod_is_raised_here(kube: Kube) -> None:
    key = a_key()
    with pytest.raises(InvariantError, match=r"step 0: KL 0\.3 between trainer and sampler"):
        run_trainjob(argv("invariant"), spec(kube), NODE, key, kube)
    eventually(lambda: find(kube, f"assay-train-{key}") is None)


@pytest.mark.usefixtures("trainer")
def test_a_pod_out_of_memory_is_reported_as_such(kube: Kube) -> None:
    with pytest.raises(StageError, match="out of memory"):
        run_trainjob(argv("greedy"), spec(kube, memory="700Mi"), NODE, a_key(), kube)


@pytest.mark.usefixtures("trainer")
def test_accelerators_that_no_node_has_are_waited_for_until_the_deadline(
    kube: Kube, capsys: pytest.CaptureFixture[str]
) -> None:
    key = a_key()
    with pytest.raises(StageError, match=r"deadline of 10 s \(.*it asks for 64 nvidia\.com/gpu.*Insufficient"):
        run_trainjob(argv("well"), spec(kube, accelerators=64, deadline_s=10), NODE, key, kube)
    assert "no node takes it" in capsys.readouterr().err
    eventually(lambda: not pods(kube, key))


@pytest.mark.usefixtures("trainer")
def test_an_image_that_is_not_there_is_not_waited_for(kube: Kube) -> None:
    nowhere = "localhost:1/assay-nowhere:1"
    with pytest.raises(StageError, match=f"cannot pull {nowhere}"):
        run_trainjob(argv("well"), spec(kube, image=nowhere, stuck_s=3), NODE, a_key(), kube)


@pytest.mark.usefixtures("trainer")
def test_a_missing_secret_is_named(kube: Kube) -> None:
    secret = SecretVariable(variable="AWS_SECRET_ACCESS_KEY", secret="assay-s3", key="secret")
    with pytest.raises(StageError, match=r'secret "assay-s3" not found'):
        run_trainjob(argv("well"), spec(kube, secrets=(secret,), stuck_s=3), NODE, a_key(), kube)


@pytest.mark.usefixtures("trainer")
def test_a_quota_that_is_used_up_is_reported_as_such(kube: Kube) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kube.core.create_namespaced_resource_quota(kube.namespace, quota)
    try:
        eventually(lambda: kube.core.read_namespaced_resource_quota("none", kube.namespace).status.hard)
        with pytest.raises(StageError, match=r"the namespace's quota is used up: .*exceeded quota: none"):
            run_trainjob(argv("well"), spec(kube, deadline_s=8), NODE, a_key(), kube)
    finally:
        kube.core.delete_namespaced_resource_quota("none", kube.namespace)


def test_an_identity_without_the_right_is_told_which(kube: Kube) -> None:
    from kubernetes import client

    account = f"system:serviceaccount:{kube.namespace}:default"
    nobody = client.ApiClient(header_name="Impersonate-User", header_value=account)
    without = Kube(client.CoreV1Api(nobody), client.CustomObjectsApi(nobody), kube.namespace)
    with pytest.raises(InputError, match=r"cannot get resource \"trainjobs\".*Assay's chart grants it"):
        run_trainjob(argv("well"), spec(kube), NODE, a_key(), without)
    with pytest.raises(InputError, match=r"cannot list resource \"pods\""):
        explain_pods(without, "pipeline/runid=run-1")
