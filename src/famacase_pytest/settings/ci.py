"""What a CI service says of the build in which the tests run. No variable that may hold a secret is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from .sources import ENVIRONMENT, Source, Value


class _Service(NamedTuple):
    """One CI service: names of variables, of which the first that is set counts; braces make a pattern.

    Attributes:
        mark: is set wherever the service runs.
        request: number of the pull or merge request.
        author: of the event, by the service's name of them.
    """

    mark: str
    workflow: str
    branch: str
    number: str
    repository: str
    commit: str
    request: str
    author: str
    link: str


_SERVICES = (
    _Service("GITHUB_ACTIONS", "GITHUB_WORKFLOW", "GITHUB_HEAD_REF GITHUB_REF_NAME", "GITHUB_RUN_NUMBER",
             "GITHUB_REPOSITORY", "GITHUB_SHA", "GITHUB_REF", "GITHUB_ACTOR",
             "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"),
    _Service("GITLAB_CI", "CI_PIPELINE_NAME CI_JOB_NAME", "CI_COMMIT_REF_NAME", "CI_PIPELINE_IID",
             "CI_PROJECT_PATH", "CI_COMMIT_SHA", "CI_MERGE_REQUEST_IID", "GITLAB_USER_LOGIN", "CI_JOB_URL"),
    _Service("JENKINS_URL", "JOB_NAME", "CHANGE_BRANCH BRANCH_NAME GIT_BRANCH", "BUILD_NUMBER", "GIT_URL",
             "GIT_COMMIT", "CHANGE_ID", "CHANGE_AUTHOR", "BUILD_URL"),
    _Service("TF_BUILD", "BUILD_DEFINITIONNAME", "SYSTEM_PULLREQUEST_SOURCEBRANCH BUILD_SOURCEBRANCH",
             "BUILD_BUILDNUMBER", "BUILD_REPOSITORY_NAME", "BUILD_SOURCEVERSION",
             "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER SYSTEM_PULLREQUEST_PULLREQUESTID", "BUILD_REQUESTEDFOR",
             "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}"),
    _Service("CIRCLECI", "CIRCLE_JOB", "CIRCLE_BRANCH CIRCLE_TAG", "CIRCLE_BUILD_NUM",
             "{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}", "CIRCLE_SHA1", "CIRCLE_PULL_REQUEST",
             "CIRCLE_USERNAME", "CIRCLE_BUILD_URL"),
    _Service("BUILDKITE", "BUILDKITE_PIPELINE_SLUG", "BUILDKITE_BRANCH", "BUILDKITE_BUILD_NUMBER",
             "BUILDKITE_REPO", "BUILDKITE_COMMIT", "BUILDKITE_PULL_REQUEST", "BUILDKITE_BUILD_CREATOR",
             "BUILDKITE_BUILD_URL"),
    _Service("BITBUCKET_BUILD_NUMBER", "BITBUCKET_REPO_SLUG", "BITBUCKET_BRANCH BITBUCKET_TAG",
             "BITBUCKET_BUILD_NUMBER", "BITBUCKET_REPO_FULL_NAME", "BITBUCKET_COMMIT", "BITBUCKET_PR_ID", "",
             "{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}"),
    _Service("TEAMCITY_VERSION", "TEAMCITY_BUILDCONF_NAME", "", "BUILD_NUMBER", "TEAMCITY_PROJECT_NAME",
             "BUILD_VCS_NUMBER", "", "", "BUILD_URL"),
)  # fmt: skip

MARKS = tuple(service.mark for service in _SERVICES)


def build(environ: Mapping[str, str]) -> tuple[Value[str], Value[str]] | None:
    """Title and description of a run, from the build in which it is made.

    Args:
        environ: the process environment.

    Returns:
        None outside of the CI services that are known.
    """
    service = next((service for service in _SERVICES if environ.get(service.mark)), None)
    if service is None:
        return None

    def read(name: str) -> str:
        if "{" in name:
            parts = re.findall(r"{(\w+)}", name)
            values = {part: environ.get(part, "") for part in parts}
            text = name.format_map(values) if all(values.values()) else ""
        else:
            text = next(filter(None, (environ.get(one, "") for one in name.split())), "")
        # An address may have been given with the name and password of its user.
        return re.sub(r"//[^/@\s]*@", "//", text.strip())

    number, workflow = read(service.number), read(service.workflow)
    branch = re.sub(r"^(refs/(heads|tags)|origin)/", "", read(service.branch))
    # Jenkins calls the job of a branch after it.
    workflow = re.sub(f"/{re.escape(quote(branch, safe=''))}$", "", workflow)
    title = [workflow, branch, f"#{number}" if number else ""]
    request = read(service.request)
    if service.mark == "GITHUB_ACTIONS":
        found = re.fullmatch(r"refs/pull/(\d+)/\w+", request)
        request = found[1] if found else ""
    lines = {
        "Repository": read(service.repository),
        "Branch": branch,
        "Commit": read(service.commit),
        "Pull request": "" if request == "false" else request,
        "Author": read(service.author),
        "Build": read(service.link).replace(" ", "%20"),
    }
    source = Source(ENVIRONMENT, service.mark)
    description = "\n".join(f"{name}: {text}" for name, text in lines.items() if text)
    return Value(" ".join(filter(None, title)), source), Value(description, source)
