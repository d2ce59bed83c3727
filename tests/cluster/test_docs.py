"""docs/how-to/install-on-a-cluster.md, followed to the letter on a real cluster.

Every fenced `sh` block is run in order in one shell, with this test's own names, or is listed here with the reason why
not. Pipelines is the API double, which runs what is submitted through kfp.local until the test ends.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.conftest import ACCESS_KEY, BUCKET, ROOT, SECRET_KEY, Cluster, Pipelines, image_of

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

PAGE = ROOT / "docs" / "how-to" / "install-on-a-cluster.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_HERE = {
    "export NAMESPACE=": "names: the test has its own",
    "python scripts/images.py build": "needs a registry; images have tests of their own",
    "export NIGHTLY_IMAGE=": "needs a registry, or the nodes' own docker; ASSAY_NIGHTLY_IMAGE was built by it",
    "docker push": "needs a registry",
    "kubectl --namespace kubeflow port-forward": "Pipelines' servers are not here; the double is reached directly",
}
"""First words of a block -> why this test leaves it out."""


def blocks() -> list[str]:
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def runnable() -> list[str]:
    return [block for block in blocks() if not any(block.startswith(words) for words in NOT_HERE)]


def test_every_reason_is_for_a_block() -> None:
    assert [words for words in NOT_HERE if not any(block.startswith(words) for block in blocks())] == []
    assert len(runnable()) == len(blocks()) - len(NOT_HERE) >= 13


@pytest.fixture
def names(cluster: Cluster, address: str, store: str, pipelines: Pipelines, tmp_path: Path) -> dict[str, str]:
    """What the page's first block exports, and tools in PATH."""
    nightly = image_of("ASSAY_NIGHTLY_IMAGE")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "helm").symlink_to(cluster.helm_binary)
    assay = shutil.which("assay", path=f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert assay is not None
    (tools / "assay").symlink_to(assay)
    host = f"http://{address}:{pipelines.server_port}"
    return {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "NAMESPACE": f"{cluster.namespace}-docs",
        "REGISTRY": "unused",
        "ASSAY_ROOT": f"s3://{BUCKET}/docs",
        "AWS_ENDPOINT_URL": store,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PIPELINES": host,
        "KFP_ENDPOINT": host,
        "CPU_IMAGE": cluster.image,
        "TRAIN_IMAGE": cluster.image,
        "INFER_IMAGE": cluster.image,
        "NIGHTLY_IMAGE": nightly,
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the page's commands name, in a folder that may be written to."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("charts", "components", "configs", "models", "pipelines"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_the_page_can_be_followed(
    cluster: Cluster, names: dict[str, str], checkout: Path, pipelines: Pipelines
) -> None:
    namespace = names["NAMESPACE"]
    script = "\n".join(f"echo {shlex.quote('### ' + block.splitlines()[0])}\n{block}" for block in runnable())
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=checkout,
            env=os.environ | names,
            capture_output=True,
            text=True,
            timeout=900,
        )
    finally:
        cluster.helm("uninstall", "assay", "--namespace", namespace, "--no-hooks", "--ignore-not-found", check=False)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false", check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "refuses a second creation" in done.stdout
    assert "assay-nightly" in done.stdout
    assert (checkout / "quickstart.yaml").stat().st_size > 10_000
    assert len(pipelines.double.api.runs) == 2  # submitted, and run now
    assert not pipelines.double.api.recurring  # uninstalled
