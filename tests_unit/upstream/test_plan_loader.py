"""What upstream's reporters are told of a plan."""

from __future__ import annotations

from famacase_pytest.upstream import plan_loader


class Session:
    """Knows the plan 7 of SHOP."""

    def __init__(self):
        self.asked = []

    def plan_cases(self, code, plan_id):
        self.asked.append((code, plan_id))
        return [3, 4] if (code, plan_id) == ("SHOP", 7) else []


def test_cases_come_from_the_session_whatever_upstream_knows_of_hosts_and_tokens():
    session = Session()
    loader = plan_loader.bound_to(session)("a placeholder", "https://qase.example.com")
    assert loader.case_list == []
    # Upstream has it from its configuration, where it may be a text.
    assert loader.load("SHOP", "7") == [3, 4]
    assert loader.case_list == [3, 4]
    assert session.asked == [("SHOP", 7)]


def test_a_plan_that_cannot_be_read_has_no_cases_so_that_all_tests_run():
    loader = plan_loader.bound_to(Session())(api_token="a placeholder")
    loader.load("SHOP", 7)
    assert loader.load("SHOP", 8) == []
    assert loader.case_list == []


def test_sessions_do_not_share_a_class():
    first, second = Session(), Session()
    one, other = plan_loader.bound_to(first), plan_loader.bound_to(second)
    one("t").load("SHOP", 1)
    other("t").load("SHOP", 2)
    assert (first.asked, second.asked) == ([("SHOP", 1)], [("SHOP", 2)])
