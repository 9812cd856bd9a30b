"""What a run gets from the build in which it is made, with the variables that each service gives its jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from famacase_pytest.settings.ci import MARKS, build

SECRET = "never_to_be_read"


class Service(NamedTuple):
    """The variables of a build of a pull request, what is made of them, and variables with secrets."""

    environ: Mapping[str, str]
    title: str
    description: list[str]
    secrets: str


SERVICES = {
    "GitHub Actions": Service(
        {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "ann",
            "GITHUB_BASE_REF": "main",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_HEAD_REF": "cart",
            "GITHUB_JOB": "tests",
            "GITHUB_REF": "refs/pull/12/merge",
            "GITHUB_REF_NAME": "12/merge",
            "GITHUB_REPOSITORY": "shop/tests",
            "GITHUB_RUN_ID": "1658821493",
            "GITHUB_RUN_NUMBER": "42",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": "ffac537e6cbbf934b08745a378932722df287a53",
            "GITHUB_WORKFLOW": "Nightly tests",
        },
        "Nightly tests cart #42",
        [
            "Repository: shop/tests",
            "Branch: cart",
            "Commit: ffac537e6cbbf934b08745a378932722df287a53",
            "Pull request: 12",
            "Author: ann",
            "Build: https://github.com/shop/tests/actions/runs/1658821493",
        ],
        "GITHUB_TOKEN ACTIONS_RUNTIME_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    ),
    "GitLab": Service(
        {
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_COMMIT_REF_NAME": "cart",
            "CI_COMMIT_SHA": "1ecfd275763eff1d6b4844ea3168962458c9f27a",
            "CI_JOB_NAME": "tests",
            "CI_JOB_URL": "https://gitlab.com/shop/tests/-/jobs/50",
            "CI_MERGE_REQUEST_IID": "12",
            "CI_PIPELINE_IID": "42",
            "CI_PIPELINE_NAME": "Nightly",
            "CI_PROJECT_PATH": "shop/tests",
            "GITLAB_USER_LOGIN": "ann",
        },
        "Nightly cart #42",
        [
            "Repository: shop/tests",
            "Branch: cart",
            "Commit: 1ecfd275763eff1d6b4844ea3168962458c9f27a",
            "Pull request: 12",
            "Author: ann",
            "Build: https://gitlab.com/shop/tests/-/jobs/50",
        ],
        "CI_JOB_TOKEN CI_REGISTRY_PASSWORD CI_DEPLOY_PASSWORD CI_DEPENDENCY_PROXY_PASSWORD CI_REPOSITORY_URL",
    ),
    "Jenkins": Service(
        {
            "JENKINS_URL": "https://ci.example.com/",
            "BRANCH_NAME": "PR-12",
            "BUILD_NUMBER": "42",
            "BUILD_TAG": "jenkins-shop-PR-12-42",
            "BUILD_URL": "https://ci.example.com/job/shop/job/PR-12/42/",
            "CHANGE_AUTHOR": "ann",
            "CHANGE_BRANCH": "cart",
            "CHANGE_ID": "12",
            "CHANGE_TARGET": "main",
            "GIT_BRANCH": "PR-12",
            "GIT_COMMIT": "ce9a3c1404e8c91be604088670e93434c4253f03",
            "GIT_URL": f"https://bot:{SECRET}@git.example.com/shop/tests.git",
            "JOB_NAME": "shop/PR-12",
        },
        "shop/PR-12 cart #42",
        [
            "Repository: https://git.example.com/shop/tests.git",
            "Branch: cart",
            "Commit: ce9a3c1404e8c91be604088670e93434c4253f03",
            "Pull request: 12",
            "Author: ann",
            "Build: https://ci.example.com/job/shop/job/PR-12/42/",
        ],
        "GIT_PASSWORD GIT_ASKPASS JENKINS_COOKIE",
    ),
    "Azure Pipelines": Service(
        {
            "TF_BUILD": "True",
            "BUILD_BUILDID": "900",
            "BUILD_BUILDNUMBER": "20260301.2",
            "BUILD_DEFINITIONNAME": "Nightly",
            "BUILD_REASON": "PullRequest",
            "BUILD_REPOSITORY_NAME": "tests",
            "BUILD_REQUESTEDFOR": "Ann",
            "BUILD_SOURCEBRANCH": "refs/pull/12/merge",
            "BUILD_SOURCEBRANCHNAME": "merge",
            "BUILD_SOURCEVERSION": "7a2b1f9c",
            "SYSTEM_COLLECTIONURI": "https://dev.azure.com/fabrikamfiber/",
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "12",
            "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/users/ann/cart",
            "SYSTEM_TEAMPROJECT": "The shop",
        },
        "Nightly users/ann/cart #20260301.2",
        [
            "Repository: tests",
            "Branch: users/ann/cart",
            "Commit: 7a2b1f9c",
            "Pull request: 12",
            "Author: Ann",
            "Build: https://dev.azure.com/fabrikamfiber/The%20shop/_build/results?buildId=900",
        ],
        "SYSTEM_ACCESSTOKEN AZURE_DEVOPS_EXT_PAT",
    ),
    "CircleCI": Service(
        {
            "CI": "true",
            "CIRCLECI": "true",
            "CIRCLE_BRANCH": "cart",
            "CIRCLE_BUILD_NUM": "42",
            "CIRCLE_BUILD_URL": "https://circleci.com/gh/shop/tests/42",
            "CIRCLE_JOB": "tests",
            "CIRCLE_PROJECT_REPONAME": "tests",
            "CIRCLE_PROJECT_USERNAME": "shop",
            "CIRCLE_PULL_REQUEST": "https://github.com/shop/tests/pull/12",
            "CIRCLE_SHA1": "a1b2c3d4",
            "CIRCLE_USERNAME": "ann",
        },
        "tests cart #42",
        [
            "Repository: shop/tests",
            "Branch: cart",
            "Commit: a1b2c3d4",
            "Pull request: https://github.com/shop/tests/pull/12",
            "Author: ann",
            "Build: https://circleci.com/gh/shop/tests/42",
        ],
        "CIRCLE_OIDC_TOKEN CIRCLE_OIDC_TOKEN_V2 CIRCLE_TOKEN",
    ),
    "Buildkite": Service(
        {
            "CI": "true",
            "BUILDKITE": "true",
            "BUILDKITE_BRANCH": "cart",
            "BUILDKITE_BUILD_CREATOR": "Ann",
            "BUILDKITE_BUILD_NUMBER": "42",
            "BUILDKITE_BUILD_URL": "https://buildkite.com/shop/tests/builds/42",
            "BUILDKITE_COMMIT": "83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d",
            "BUILDKITE_PIPELINE_SLUG": "nightly",
            "BUILDKITE_PULL_REQUEST": "12",
            "BUILDKITE_REPO": "git@github.com:shop/tests.git",
        },
        "nightly cart #42",
        [
            "Repository: git@github.com:shop/tests.git",
            "Branch: cart",
            "Commit: 83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d",
            "Pull request: 12",
            "Author: Ann",
            "Build: https://buildkite.com/shop/tests/builds/42",
        ],
        "BUILDKITE_AGENT_ACCESS_TOKEN BUILDKITE_ANALYTICS_TOKEN",
    ),
    "Bitbucket": Service(
        {
            "CI": "true",
            "BITBUCKET_BRANCH": "cart",
            "BITBUCKET_BUILD_NUMBER": "42",
            "BITBUCKET_COMMIT": "7f777ed95a19224294949e1b4ce56bbffcb1fe9f",
            "BITBUCKET_GIT_HTTP_ORIGIN": "https://bitbucket.org/shop/tests",
            "BITBUCKET_PR_ID": "12",
            "BITBUCKET_REPO_FULL_NAME": "shop/tests",
            "BITBUCKET_REPO_SLUG": "tests",
        },
        "tests cart #42",
        [
            "Repository: shop/tests",
            "Branch: cart",
            "Commit: 7f777ed95a19224294949e1b4ce56bbffcb1fe9f",
            "Pull request: 12",
            "Build: https://bitbucket.org/shop/tests/pipelines/results/42",
        ],
        "BITBUCKET_STEP_OIDC_TOKEN BITBUCKET_SSH_KEY_FILE",
    ),
    "TeamCity": Service(
        {
            "TEAMCITY_VERSION": "2023.11 (build 147412)",
            "TEAMCITY_BUILDCONF_NAME": "Nightly",
            "TEAMCITY_PROJECT_NAME": "Shop",
            "BUILD_NUMBER": "42",
            "BUILD_URL": "https://teamcity.example.com/build/900",
            "BUILD_VCS_NUMBER": "3b5c7d9e",
        },
        "Nightly #42",
        [
            "Repository: Shop",
            "Commit: 3b5c7d9e",
            "Build: https://teamcity.example.com/build/900",
        ],
        "TEAMCITY_AUTH_PASSWORD TEAMCITY_AUTH_USERID TEAMCITY_BUILD_PROPERTIES_FILE",
    ),
}


class Watched(Mapping[str, str]):
    """An environment that remembers which of its variables are read."""

    def __init__(self, content: Mapping[str, str]) -> None:
        self._content = content
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the whole environment is read")

    def __len__(self) -> int:
        return len(self._content)


@pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
def test_a_run_is_called_as_its_build(service: Service) -> None:
    environ = Watched({**service.environ, **dict.fromkeys(service.secrets.split(), SECRET)})
    found = build(environ)
    assert found is not None
    title, description = found
    assert title.value == service.title
    assert description.value.splitlines() == service.description
    assert {str(title.source)} == {f"{mark} in the environment" for mark in MARKS if mark in service.environ}
    # Of any service: only those that are known not to hold a secret.
    assert environ.read <= {name for other in SERVICES.values() for name in other.environ} | UNSET
    assert not environ.read & set(service.secrets.split())
    assert not [name for name in environ.read if re.search("TOKEN|SECRET|PASSW|KEY|CREDENTIAL|AUTH_", name)]


# Read, and not there in a build of a pull request.
UNSET = {
    "BITBUCKET_TAG",
    "CIRCLE_TAG",
    "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER",
}


def test_each_service_is_tried() -> None:
    assert {mark for mark in MARKS for service in SERVICES.values() if mark in service.environ} == set(MARKS)


@pytest.mark.parametrize(
    ("name", "changed", "title"),
    [
        ("GitHub Actions", {"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"}, "Nightly tests main #42"),
        ("GitLab", {"CI_PIPELINE_NAME": ""}, "tests cart #42"),
        (
            "Jenkins",
            {"CHANGE_BRANCH": "", "BRANCH_NAME": "", "GIT_BRANCH": "origin/main"},
            "shop/PR-12 main #42",
        ),
        ("Jenkins", {"JOB_NAME": "shop/a%2Fb", "CHANGE_BRANCH": "", "BRANCH_NAME": "a/b"}, "shop a/b #42"),
        (
            "Azure Pipelines",
            {"SYSTEM_PULLREQUEST_SOURCEBRANCH": "", "BUILD_SOURCEBRANCH": "refs/heads/feature/x"},
            "Nightly feature/x #20260301.2",
        ),
        ("CircleCI", {"CIRCLE_BRANCH": "", "CIRCLE_TAG": "v1"}, "tests v1 #42"),
        ("Bitbucket", {"BITBUCKET_BRANCH": "", "BITBUCKET_TAG": "v1"}, "tests v1 #42"),
    ],
)
def test_builds_of_branches_and_tags(name: str, changed: dict[str, str], title: str) -> None:
    found = build({**SERVICES[name].environ, **changed})
    assert found is not None
    assert found[0].value == title


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("GitHub Actions", {"GITHUB_REF": "refs/heads/main"}),
        ("Buildkite", {"BUILDKITE_PULL_REQUEST": "false"}),
    ],
)
def test_a_build_without_a_pull_request(name: str, changed: dict[str, str]) -> None:
    found = build({**SERVICES[name].environ, **changed})
    assert found is not None
    assert "Pull request" not in found[1].value


def test_elsewhere_there_is_nothing() -> None:
    assert build({"CI": "true", "BUILD_NUMBER": "1"}) is None
