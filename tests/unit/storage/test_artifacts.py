"""An artifact happened when its manifest is there, and holds what the manifest says."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assay.contracts.errors import InputError, InvariantError, ObjectCorrupt
from assay.contracts.manifest import FileEntry, Finding, Manifest
from assay.storage import Artifact, ObjectInfo, Store, open_store


def manifest_of(artifact: Artifact, **changes: Any) -> Manifest:
    fields = {
        "stage": artifact.stage,
        "key": artifact.key,
        "stage_version": 1,
        "spec": {"seed": 3, "nested": {"rate": 1e-6}},
        "files": artifact.inventory(),
        "metrics": {"accuracy": 0.5},
        "dropped": {"prompt_too_long": 2},
        "findings": (Finding(id="kl-spike", failure="F32", severity="warning", where="step 3", message="KL 27,087"),),
        "seconds": 1.5,
        "started_at": "2026-01-02T03:04:05+00:00",
        "environment": {"python": "3.11.9"},
        "assay_version": "0.1.0",
    }
    return Manifest(**{**fields, **changes})


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return Artifact(store, "evaluate", "0123abcd")


def test_no_manifest_means_the_stage_did_not_happen(artifact: Artifact) -> None:
    artifact.write_bytes("samples.parquet", b"rows")
    assert artifact.manifest() is None
    assert "has not happened" in artifact.verify()[0]


def test_what_was_committed_is_read_back_equal(artifact: Artifact) -> None:
    artifact.write_bytes("samples.parquet", b"rows")
    manifest = manifest_of(artifact)
    assert artifact.commit(manifest) == manifest == artifact.manifest()
    assert artifact.verify() == ()


def test_the_first_commit_stands_and_is_returned(artifact: Artifact) -> None:
    first = artifact.commit(manifest_of(artifact, seconds=1.0))
    assert artifact.commit(manifest_of(artifact, seconds=2.0)) == first == artifact.manifest()


def test_equal_manifests_are_equal_bytes(tmp_path: Path) -> None:
    artifacts = [Artifact(open_store(str(tmp_path / name)), "train", "k") for name in "ab"]
    artifacts[0].commit(manifest_of(artifacts[0], environment={"b": "1", "a": "2"}))
    artifacts[1].commit(manifest_of(artifacts[1], environment={"a": "2", "b": "1"}))
    assert artifacts[0].read_bytes("manifest.json") == artifacts[1].read_bytes("manifest.json")


def test_a_manifest_of_another_artifact_is_refused(artifact: Artifact) -> None:
    with pytest.raises(InvariantError, match="evaluate/other"):
        artifact.commit(manifest_of(artifact, key="other"))


def test_figures_that_json_cannot_hold_are_refused(artifact: Artifact) -> None:
    with pytest.raises(ValidationError, match="finite"):
        manifest_of(artifact, metrics={"kl": float("nan")})
    with pytest.raises(ValidationError, match="JSON"):
        manifest_of(artifact, spec={"rate": float("inf")})


def test_a_spec_is_kept_as_json_holds_it(artifact: Artifact) -> None:
    """F28: what the manifest says in memory and on disk is the same."""
    manifest = manifest_of(artifact, spec={"levels": {"easy": (2, 1)}})
    assert manifest.spec == {"levels": {"easy": [2, 1]}}
    assert artifact.commit(manifest) == artifact.manifest()


def test_a_broken_manifest_is_corrupt_not_absent(artifact: Artifact) -> None:
    artifact.write_bytes("manifest.json", b'{"stage": "evaluate"')
    with pytest.raises(ObjectCorrupt, match=r"manifest\.json is no manifest"):
        artifact.manifest()


def test_the_inventory_hashes_everything_but_manifest_and_scratch(artifact: Artifact) -> None:
    files = {"a/b.bin": b"\x00\x01", "empty": b"", "scratchpad": b"kept"}
    for path, data in {**files, "scratch/step-1": b"resume", "manifest.json": b"{}"}.items():
        artifact.write_bytes(path, data)
    assert artifact.inventory() == tuple(
        FileEntry(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for path, data in sorted(files.items())
    )


def test_every_difference_from_the_manifest_is_named(artifact: Artifact) -> None:
    for path in ("changed", "grown", "lost", "same"):
        artifact.write_bytes(path, b"1")
    artifact.commit(manifest_of(artifact))
    artifact.write_bytes("changed", b"2")
    artifact.write_bytes("grown", b"12")
    artifact.write_bytes("added", b"")
    artifact.store.delete(artifact.path("lost"))
    added, changed, grown, lost = artifact.verify()
    assert added.endswith("/added: stored, but not in the manifest")
    assert "/changed: sha256 d4735e3a" in changed
    assert grown.endswith("/grown: 2 bytes where the manifest says 1")
    assert lost.endswith("/lost: in the manifest, but not stored")


def test_a_tree_comes_back_as_it_was(artifact: Artifact, tmp_path: Path) -> None:
    tree = tmp_path / "model"
    (tree / "deep").mkdir(parents=True)
    (tree / "config.json").write_bytes(b"{}")
    (tree / "deep" / "blob").write_bytes(b"weights")
    (tree / "linked").symlink_to(tree / "deep" / "blob")
    artifact.upload_tree(tree, "weights")
    expected = {"weights/config.json": b"{}", "weights/deep/blob": b"weights", "weights/linked": b"weights"}
    assert (
        artifact.list("weights")
        == artifact.list()
        == [ObjectInfo(path, len(expected[path])) for path in sorted(expected)]
    )
    fetched = artifact.fetch_tree("weights")
    assert {
        f"weights/{file.relative_to(fetched).as_posix()}": file.read_bytes()
        for file in fetched.rglob("*")
        if file.is_file()
    } == expected
    assert artifact.fetch("weights/deep/blob").read_bytes() == b"weights"


def test_a_tree_that_is_not_there_is_an_error_not_an_empty_one(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        artifact.upload_tree(tmp_path / "nowhere", "weights")


def test_an_artifact_stays_in_its_folder(artifact: Artifact) -> None:
    with pytest.raises(InputError, match="not a path inside a store"):
        artifact.read_bytes("../other/manifest.json")
