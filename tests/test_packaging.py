"""What is shipped: the wheel's contents, the lock and the layers."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import transforms

PACKAGES = ("schemas", "models", "transforms", "pipelines")


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"import hatchling.build as b; print(b.build_wheel({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=repo, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_of_the_four_packages(wheel: zipfile.ZipFile, repo: Path) -> None:
    """Code, schemas, rule packs, starters and the sample are shipped; nothing else is on top level."""
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=repo, capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:
        pytest.skip("not a git checkout: there is no list of files to compare with")
    assert {name for name in listed if (repo / name).exists()} - shipped == set()
    assert {name.split("/")[0] for name in shipped} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= shipped


def test_the_wheel_names_its_licence_and_its_command(wheel: zipfile.ZipFile) -> None:
    """Apache-2.0 with its text, and ``meterbeam`` on the path."""
    info = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    assert "License-Expression: Apache-2.0" in wheel.read(f"{info}/METADATA").decode()
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert "meterbeam = pipelines.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()


def test_the_lock_is_pinned_hashed_and_names_no_index(repo: Path) -> None:
    """Every requirement has one version and a hash; no address of a package index stands in it."""
    text = (repo / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(entries) > 40
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+(\[[a-z,-]+\])?==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text) is None


def test_the_lock_holds_every_dependency(repo: Path) -> None:
    """A dependency added to pyproject.toml without ``make lock`` is noticed."""
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=;\[ ]", line)[0].lower().replace(".", "-").replace("_", "-") for line in wanted}
    text = (repo / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)", text, flags=re.MULTILINE))
    assert names - locked == set()


def test_transforms_refuses_foreign_neighbours(tmp_path: Path) -> None:
    """A package called ``models`` from elsewhere is named, together with ours."""
    with pytest.raises(ImportError) as caught:
        transforms.check_neighbours(tmp_path)
    assert str(tmp_path / "schemas") in str(caught.value)


def test_a_foreign_models_on_the_path_stops_the_command(repo: Path, tmp_path: Path) -> None:
    """The command says which package stands in the way instead of failing somewhere inside."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(repo)!r}]\n"
        "from pipelines.cli import main; sys.exit(main(['demo', '--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert str(tmp_path / "models") in done.stderr
    assert str(repo / "models") in done.stderr


def test_no_vague_module_names(repo: Path) -> None:
    """A file can be placed by its name."""
    vague = {"utils", "util", "helpers", "common", "misc"}
    found = [
        path for package in (*PACKAGES, "tests") for path in (repo / package).rglob("*") if path.stem in vague
    ]
    assert found == []
