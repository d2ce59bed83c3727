"""The images that the other tests of this folder use hold this checkout's code: a stale one would prove nothing.

export KUBECONFIG=… ASSAY_CPU_IMAGE=… ASSAY_NIGHTLY_IMAGE=…       as for tests/cluster/test_chart.py
pytest -m cluster tests/cluster/test_image.py
"""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.cluster.conftest import ROOT, Cluster, image_of

pytestmark = pytest.mark.cluster

LOOK = """
import hashlib, json, pathlib, sys
import assay

found = {}
for name in sys.argv[1:]:
    folder = pathlib.Path(assay.__file__).parent if name == "assay" else pathlib.Path(name)
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            found[f"{name}/{path.relative_to(folder)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
print(json.dumps(found))
"""
CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def in_the_image(cluster: Cluster, image: str, folders: tuple[str, ...]) -> dict[str, str]:
    """File -> digest, as a pod of the cluster sees them."""
    command = ["python3", "-c", LOOK, *folders]
    container = {"name": "main", "image": image, "command": command, "securityContext": CONFINED}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "look"}}
    pod |= {"spec": {"restartPolicy": "Never", "containers": [container | {"imagePullPolicy": "IfNotPresent"}]}}
    cluster.kubectl("create", "--filename", "-", stdin=pod)
    try:
        phase = cluster.wait(lambda: {cluster.get("pod", "look")["status"]["phase"]} & {"Succeeded", "Failed"})
        told = cluster.kubectl("logs", "look").stdout
    finally:
        cluster.kubectl("delete", "pod", "look", "--grace-period=0", "--force", check=False)
    assert phase == {"Succeeded"}, told
    found: dict[str, str] = json.loads(told)
    return found


def in_the_checkout(folders: tuple[str, ...]) -> dict[str, str]:
    paths = [path for name in folders for path in (ROOT / name).rglob("*") if "__pycache__" not in path.parts]
    files = [path for path in paths if path.is_file()]
    return {path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(("variable", "folders"), [
    ("ASSAY_CPU_IMAGE", ("assay",)),
    ("ASSAY_NIGHTLY_IMAGE", ("assay", "components", "configs", "pipelines")),
])  # fmt: skip
def test_the_image_holds_the_code_under_test(cluster: Cluster, variable: str, folders: tuple[str, ...]) -> None:
    image = image_of(variable)
    here, there = in_the_checkout(folders), in_the_image(cluster, image, folders)
    differ = [name for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)]
    assert not differ, f"{image} is of another checkout, build it again: {differ[:5]}"
