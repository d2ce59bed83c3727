"""A built image keeps its Containerfile's promises."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow]

Run = Callable[..., subprocess.CompletedProcess[str]]
COMPILERS = ("cc", "gcc", "g++", "clang", "nvcc")
WITH_A_COMPILER = WITH_VLLM = ("train", "infer")
SMALL_MODEL = Path(__file__).resolve().parents[2] / "models" / "sums-500k"
EXECUTOR_INPUT = {"inputs": {"parameterValues": {"n": 20}}, "outputs": {"outputFile": "/tmp/outputs.json"}}
COMPONENT = """
import kfp
from kfp import dsl

def double(n: int) -> int:
    return 2 * n
"""
"""What a compiled component holds: its imports and the function's source."""


def test_it_runs_as_the_fixed_user_with_a_read_only_root(run: Run) -> None:
    done = run("sh", "-c", "id -u && id -g && ! touch /venv/x /etc/x /x 2>/dev/null && touch /tmp/x && echo written")
    assert done.stdout.split() == ["65532", "65532", "written"]


def test_any_other_number_works_as_well(run: Run) -> None:
    """Some clusters hand out a uid of their own."""
    assert "computes" in run("assay-health", flags=("--user=1234567:0",)).stdout


def test_health_is_every_engine_of_the_role(run: Run, role: str) -> None:
    told = run("assay-health").stdout
    vllm = "vllm.entrypoints.llm"
    engines = {"cpu": (), "train": ("deepspeed", vllm), "infer": (vllm,)}[role]
    for engine in ("kfp", "torch", "transformers", "lm_eval.evaluator", *engines):
        assert f"imports    {engine}" in told


def test_health_fails_where_a_cache_cannot_be_written(run: Run) -> None:
    done = run("assay-health", flags=("--env=XDG_CACHE_HOME=/venv/cache",), check=False)
    assert done.returncode == 1
    assert "Read-only file system: '/venv/cache'" in done.stderr


def test_assay_starts(run: Run) -> None:
    from assay import __version__

    assert run("assay", "--version").stdout.split() == ["assay", __version__]
    assert "Usage: assay" in run("assay", "--help").stdout


def test_libraries_write_below_tmp_and_nowhere_else(run: Run) -> None:
    script = (
        "import matplotlib, huggingface_hub.constants as hub, getpass, os;"
        "from torch.utils.cpp_extension import get_default_build_root as extensions;"
        "print(matplotlib.get_cachedir(), matplotlib.get_configdir(), hub.HF_HOME, extensions());"
        "print(os.path.expanduser('~'), getpass.getuser())"
    )
    *folders, user = run("python3", "-c", script).stdout.split()
    assert len(folders) == 5
    assert all(folder.startswith("/tmp") for folder in folders)
    assert user == "assay"


def test_a_component_runs_the_way_kfp_starts_it(run: Run) -> None:
    script = (
        'program_path=$(mktemp -d)\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
        "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main"
        ' --component_module_path "$program_path/ephemeral_component.py" "$@"\n'
        "cat /tmp/outputs.json"
    )
    given = ("--executor_input", json.dumps(EXECUTOR_INPUT), "--function_to_execute", "double")
    done = run("sh", "-ec", script, COMPONENT, *given)
    assert json.loads(done.stdout.splitlines()[-1])["parameterValues"] == {"Output": 40}


def test_there_is_no_compiler_but_where_runs_need_one(run: Run, role: str) -> None:
    found = run("sh", "-c", f"for name in {' '.join(COMPILERS)}; do command -v $name; done; true").stdout.split()
    assert bool(found) == (role in WITH_A_COMPILER), found


@pytest.mark.parametrize("role", WITH_A_COMPILER, indirect=True)
def test_a_compiler_that_is_there_compiles(run: Run) -> None:
    source = 'extern "C" int f() { return 4; }'
    script = f"echo '{source}' >/tmp/f.cpp && g++ -shared -fPIC -o /tmp/f.so /tmp/f.cpp && echo made"
    assert run("sh", "-c", script).stdout == "made\n"


@pytest.mark.parametrize("role", ["train"], indirect=True)
def test_deepspeeds_operators_are_there_compiled(run: Run) -> None:
    script = (
        "import torch\nfrom deepspeed.git_version_info import installed_ops\n"
        "from deepspeed.ops.op_builder.all_ops import ALL_OPS\n"
        "assert installed_ops['fused_adam'], installed_ops\n"
        "print('loaded', ALL_OPS['fused_adam'].load().__name__ if torch.version.cuda is None else 'on a GPU alone')"
    )
    assert "loaded" in run("python3", "-c", script, flags=("--env=DS_ACCELERATOR=cpu",)).stdout


@pytest.mark.parametrize("role", ["train"], indirect=True)
def test_adapters_and_trackers_are_there(run: Run) -> None:
    assert run("python3", "-c", "import peft, wandb, mlflow; print('there')").stdout == "there\n"


def test_vllm_generates_from_a_read_only_root(run: Run, built: dict[str, dict[str, Any]], role: str) -> None:
    if role not in WITH_VLLM or ".cpu." not in built[role]["lock"]:
        pytest.skip("vLLM runs here in CPU twins alone")
    script = (
        "from vllm import LLM, SamplingParams\n"
        "engine = LLM('/model', enforce_eager=True, dtype='float32', max_model_len=64, max_num_seqs=2)\n"
        "(answer,) = engine.generate(['1 + 1 ='], SamplingParams(max_tokens=8, ignore_eos=True))\n"
        "print('sampled', len(answer.outputs[0].token_ids))"
    )
    in_one_process = ("VLLM_ENABLE_V1_MULTIPROCESSING=0", "OMP_NUM_THREADS=1", "VLLM_CPU_KVCACHE_SPACE=1")
    flags = (f"--volume={SMALL_MODEL}:/model:ro", *(f"--env={setting}" for setting in in_one_process))
    assert "sampled 8" in run("python3", "-c", script, flags=flags).stdout


def test_every_module_is_compiled_and_its_source_never_looked_at(run: Run) -> None:
    script = (
        "import pathlib, sysconfig\n"
        "root = pathlib.Path(sysconfig.get_paths()['purelib'])\n"
        "code = [next(p.glob(f'__pycache__/{s}.cpython-*.pyc'), None) for p, s in\n"
        "        [(root / 'torch', '__init__'), (root / 'assay/cli', 'main'), (root / 'kfp', '__init__')]]\n"
        "print([int.from_bytes(path.read_bytes()[4:8], 'little') for path in code])"
    )
    unchecked_hash = 0b01
    assert json.loads(run("python3", "-c", script).stdout) == [unchecked_hash] * 3


def test_the_bill_of_materials_names_what_is_installed(run: Run) -> None:
    bill = json.loads(run("cat", "/usr/share/assay/sbom.json").stdout)
    assert bill["bomFormat"] == "CycloneDX"
    script = (
        "import importlib.metadata, json, sysconfig\n"
        "found = importlib.metadata.distributions(path=[sysconfig.get_paths()['purelib']])\n"
        "print(json.dumps({each.metadata['Name'].lower(): each.version for each in found}))"
    )
    listed = {component["name"].lower(): component["version"] for component in bill["components"]}
    assert {"assay", "torch", "kfp"} <= listed.keys()
    assert listed == json.loads(run("python3", "-c", script).stdout)


def test_labels_say_what_it_is(configuration: dict[str, Any], role: str) -> None:
    labels = configuration["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"assay-{role}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40
    assert labels["org.opencontainers.image.created"] > "2025"


def files_of(docker: str, image: str, folder: Path) -> dict[str, bytes]:
    """The files of an image; of those under a megabyte that may hold settings, the content too."""
    container = subprocess.run([docker, "create", image, "true"], capture_output=True, text=True, check=True)
    archive = folder / "root.tar"
    with archive.open("wb") as file:
        subprocess.run([docker, "export", container.stdout.strip()], stdout=file, check=True)
    subprocess.run([docker, "rm", container.stdout.strip()], capture_output=True, check=True)
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as members:
        for member in members:
            small = member.isfile() and member.size < 2**20 and not member.name.endswith((".py", ".pyc", ".so"))
            content = members.extractfile(member) if small else None
            found[member.name] = content.read() if content else b""
    archive.unlink()
    return found


def test_nothing_of_the_building_machine_is_left(
    docker: str, image: str, role: str, built: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """Beside the base there is /venv and Assay, and no index address, certificate, pip setting or path of the build."""
    base = files_of(docker, str(built[role]["base"]), tmp_path)
    own = {name: content for name, content in files_of(docker, image, tmp_path).items() if base.get(name) != content}
    expected = ("venv", "usr/local/bin/assay-health", "usr/share/assay")
    if role not in WITH_A_COMPILER:
        assert [name for name in own if not name.startswith(expected)] == []
    assert len([name for name in own if name.endswith(".dist-info/METADATA")]) > 100
    for trace in (b"/run/secrets/pip", b"/run/secrets/ca", b"file:///build"):
        assert [name for name in own if trace in own[name] and ".dist-info" in name] == []
        assert trace not in own["usr/share/assay/sbom.json"]
    assert not [name for name in own if name.endswith(("pip.conf", "direct_url.json", "ca-certificates.crt"))]


def test_the_history_names_no_setting_of_the_build(docker: str, image: str) -> None:
    history = subprocess.run(
        [docker, "history", "--no-trunc", image], capture_output=True, text=True, check=True
    ).stdout
    assert "COPY /venv /venv" in history
    for word in ("127.0.0.1", "secret", "find-links", "FIND_LINKS", "index-url", "pip"):
        assert word not in history
