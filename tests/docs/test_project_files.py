"""The files that a stranger looks for: they are there, whole, and name what exists."""

import re
import tomllib
from typing import Any

import pytest
from ruamel.yaml import YAML

import blemish
from tests.docs.pages import ROOT, text_of

LICENCE = "MIT"


def yaml(name: str) -> Any:
    return YAML(typ="safe").load(ROOT / name)


def test_the_readme_is_short_and_keeps_a_place_for_the_leaderboard() -> None:
    lines = text_of(ROOT / "README.md").splitlines()
    assert len(lines) <= 150
    first, last = lines.index("<!-- leaderboard -->"), lines.index("<!-- /leaderboard -->")
    assert any(line.startswith("| `elpv/mono` | glass |") for line in lines[first:last])


@pytest.mark.parametrize("term", ["unit", "method", "seed", "stage", "recipe", "protocol"])
def test_the_readme_defines_its_terms(term: str) -> None:
    defined = re.search(rf"(A|each is a|drawn by a) \*{term}\*", text_of(ROOT / "README.md"))
    assert defined is not None


def test_the_links_of_files_beside_the_site_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(ROOT / name)):
            assert target.startswith("https://") or (ROOT / target).exists(), (name, target)


def test_the_package_says_who_made_it_and_under_which_licence() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    assert project["version"] == blemish.__version__
    assert project["license"] == LICENCE
    assert project["license-files"] == ["LICENSE"]
    (author,) = project["authors"]
    assert f"Copyright (c) 2026 {author['name']}" in text_of(ROOT / "LICENSE")
    # Those of the dev extra are what CI installs and what the lock pins.
    pinned = {
        line.partition("==")[0].lower() for line in text_of(ROOT / "requirements.lock").splitlines()
    }
    assert set(project["optional-dependencies"]["docs"]) <= pinned


def test_the_citation_has_what_the_format_requires() -> None:
    citation = yaml("CITATION.cff")
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == blemish.__version__
    assert citation["license"] == LICENCE
    assert all(
        author.keys() <= {"name", "given-names", "family-names"} for author in citation["authors"]
    )


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = text_of(ROOT / "CHANGELOG.md")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


def test_the_hooks_run_what_the_makefile_runs() -> None:
    (local,) = yaml(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    tools = {hook["entry"].split()[0] for hook in local["hooks"]}
    (lint,) = re.findall(r"^lint:.*\n\t@(.+)$", text_of(ROOT / "Makefile"), re.MULTILINE)
    assert tools == {f".venv/bin/{tool}" for tool in re.findall(r"\$\(BIN\)/([\w-]+)", lint)}


def test_the_workflow_runs_what_ci_runs() -> None:
    (job,) = yaml(".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    python = next(step["with"] for step in job["steps"] if "with" in step)
    assert f">={python['python-version']}" in text_of(ROOT / "pyproject.toml")


def test_the_dockerfile_is_well_formed_and_copies_what_is_there() -> None:
    text = re.sub(r"^#.*\n", "", text_of(ROOT / "Dockerfile"), flags=re.MULTILINE)
    instructions = re.findall(r"^(\S.*)$", text.replace("\\\n", " "), re.MULTILINE)
    words = [line.split() for line in instructions]
    known = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "ENTRYPOINT", "CMD"}
    assert words[0][0] == "FROM"
    assert {line[0] for line in words} == known
    for line in words:
        if line[0] == "COPY":
            assert all((ROOT / source).exists() for source in line[1:-1]), line
    assert "requirements.lock" in text
    assert re.search(r"not been built", text_of(ROOT / "Dockerfile"))
