"""Steps end as their code ends, in functions, coroutines, tasks and threads; each with what upstream does."""

from __future__ import annotations

import pytest
from test_guards import run_without

ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto")
ANYIO = ("-p", "anyio.pytest_plugin")


def tree(steps):
    """Title, status and children of each step."""
    return [
        (
            step["data"]["action"],
            step["execution"]["status"],
            *([tree(step["steps"])] if step["steps"] else []),
        )
        for step in steps
    ]


def trees(runs):
    return {title: tree(result["steps"]) for title, result in runs.by_title(runs.only()).items()}


ERRORS = """
    import pytest
    from qase.pytest import qase

    class Odd(BaseException):
        pass

    ENDS = {
        "attribute": lambda: None.nothing,
        "key": lambda: {}["nothing"],
        "stop": lambda: next(iter(())),
        "runtime": lambda: (_ for _ in ()).throw(RuntimeError("generator didn't stop after throw()")),
        "fail": lambda: pytest.fail("said so"),
        "odd": lambda: (_ for _ in ()).throw(Odd("base")),
        "skip": lambda: pytest.skip("not today"),
    }

    @qase.step("decorated")
    def decorated(end):
        with qase.step("inner"):
            end()

    @pytest.mark.parametrize("end", ENDS)
    def test_ends(end):
        with qase.step("outer", "to end"):
            decorated(ENDS[end])

    def test_goes_on():
        with qase.step("caught"):
            with pytest.raises(AttributeError):
                with qase.step("raises"):
                    None.nothing
            with qase.step("beside"):
                pass

    @qase.ignore()
    def test_ignored():
        with qase.step("of nobody"):
            pass

    def test_after():
        with qase.step("own"):
            pass
"""


def test_any_error_fails_the_steps_and_is_the_tests_own(project, runs, pair):
    project.write(test_ends=ERRORS)
    outcome = project.run()
    assert outcome.code == 1, outcome.output
    assert "INTERNALERROR" not in outcome.output
    found = {}
    for result in runs.results(runs.only()):
        found[result["params"].get("end", result["title"])] = result
    ended = [("outer", "failed", [("decorated", "failed", [("inner", "failed")])])]
    skipped = [("outer", "skipped", [("decorated", "skipped", [("inner", "skipped")])])]
    messages = {
        "attribute": "AttributeError: 'NoneType' object has no attribute 'nothing'",
        "key": "KeyError: 'nothing'",
        "stop": "StopIteration",
        "runtime": "RuntimeError: generator didn't stop after throw()",
        "fail": "Failed: said so",
        "odd": "test_ends.Odd: base",
    }
    for end, message in messages.items():
        assert found[end]["message"] == message
        assert found[end]["execution"]["status"] == ("failed" if pair.qase >= (9,) else "invalid")
        assert tree(found[end]["steps"]) == ended
    assert found["skip"]["execution"]["status"] == "skipped"
    assert tree(found["skip"]["steps"]) == skipped
    assert tree(found["test_goes_on"]["steps"]) == [
        ("caught", "passed", [("raises", "failed"), ("beside", "passed")])
    ]
    assert "test_ignored" not in found
    assert tree(found["test_after"]["steps"]) == [("own", "passed")]
    assert found["key"]["steps"][0]["data"]["expected_result"] == "to end"


def test_without_the_guard_an_error_in_a_step_is_lost(project, runs):
    project.write(test_ends=ERRORS)
    run_without(project, "error in a step", "-k", "attribute")
    (result,) = runs.results(runs.only())
    assert result["message"] == "RuntimeError: generator didn't stop after throw()"
    assert ("inner", "skipped") in tree(result["steps"])[0][2][0][2]


# Coroutines


PAGES = """
    import asyncio
    from qase.pytest import qase

    class Page:
        @qase.step("open page")
        async def open(self, seconds=0.02):
            \"\"\"Its own text.\"\"\"
            await asyncio.sleep(seconds)
            return "opened"

        @qase.step("break")
        async def broken(self):
            await asyncio.sleep(0)
            raise AttributeError("no such page")

    @qase.step("wait")
    async def wait(name):
        with qase.step(f"in {name}"):
            await asyncio.sleep(0.01)
            qase.attach((name.encode(), "text/plain", f"{name}.txt"))
            with qase.step(f"below {name}"):
                await asyncio.sleep(0.01)
"""
# What a suite's conftest imports is decorated before pytest is configured.
CONFTEST = """
    import asyncio
    import pytest
    from pages import Page

    @pytest.fixture
    async def page():
        made = Page()
        await made.open()
        yield made

    @pytest.fixture
    def resource():
        from qase.pytest import qase

        with qase.step("resource"):
            yield
"""
ASYNC = """
    import asyncio
    import pytest
    from pages import Page, wait
    from qase.pytest import qase

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    async def test_awaited(page):
        assert await page.open() == "opened"
        assert "Its own text." in Page.open.__doc__

    async def test_fails(page):
        with qase.step("outer"):
            await page.broken()

    async def test_gathered():
        await asyncio.gather(wait("a"), wait("b"))
        with qase.step("outer"):
            await asyncio.gather(wait("c"), wait("d"))
        with qase.step("after"):
            pass

    async def test_one_fails():
        with qase.step("outer"):
            await asyncio.gather(wait("a"), Page().broken(), return_exceptions=True)
            task = asyncio.get_running_loop().create_task(wait("b"))
        with qase.step("meanwhile"):
            await task

    async def test_threads():
        def work(name):
            with qase.step(name):
                with qase.step(f"in {name}"):
                    pass

        with qase.step("outer"):
            await asyncio.get_running_loop().run_in_executor(None, work, "thread")

    async def test_below_a_fixture(resource):
        await asyncio.gather(wait("a"), wait("b"))
"""


def waited(name):
    return ("wait", "passed", [(f"in {name}", "passed", [(f"below {name}", "passed")])])


@pytest.mark.parametrize("arguments", [ASYNCIO, (*ANYIO, "-n", "1")], ids=["asyncio", "anyio-worker"])
def test_coroutines_and_tasks(project, runs, arguments):
    project.write(pages=PAGES, conftest=CONFTEST, test_async=ASYNC)
    outcome = project.run(*arguments)
    assert outcome.counts == "1 failed, 5 passed", outcome.output
    results = runs.by_title(runs.only())
    found = {title: tree(result["steps"]) for title, result in results.items()}
    opened = ("open page", "passed")
    assert found["test_awaited"] == [opened, opened]
    assert all(step["execution"]["duration"] >= 15 for step in results["test_awaited"]["steps"])
    assert found["test_fails"] == [opened, ("outer", "failed", [("break", "failed")])]
    assert results["test_fails"]["message"] == "AttributeError: no such page"
    assert found["test_gathered"] == [
        waited("a"),
        waited("b"),
        ("outer", "passed", [waited("c"), waited("d")]),
        ("after", "passed"),
    ]
    inner = results["test_gathered"]["steps"][1]["steps"][0]
    assert [file["file_name"] for file in inner["execution"]["attachments"]] == ["b.txt"]
    assert found["test_one_fails"] == [
        ("outer", "passed", [waited("a"), ("break", "failed"), waited("b")]),
        ("meanwhile", "passed"),
    ]
    assert found["test_threads"] == [
        ("outer", "passed", [("thread", "passed", [("in thread", "passed")])]),
    ]
    assert found["test_below_a_fixture"] == [("resource", "passed", [waited("a"), waited("b")])]


def test_pages_of_a_conftest_where_the_command_line_has_the_address(project, runs, layer):
    project.write(pages=PAGES, conftest=CONFTEST, test_async=ASYNC)
    arguments = ("-k", "test_fails", f"--famacase-api-url={layer.url}")
    assert project.run(*ASYNCIO, *arguments, FAMACASE_API_URL=None).code == 1
    (steps,) = trees(runs).values()
    assert steps == [("open page", "passed"), ("outer", "failed", [("break", "failed")])]


def test_task_groups_of_trio(project, runs):
    project.write(
        test_trio="""
            import anyio
            import pytest
            from qase.pytest import qase

            pytestmark = pytest.mark.anyio

            @pytest.fixture(params=["asyncio", "trio"])
            def anyio_backend(request):
                return request.param

            @qase.step("wait")
            async def wait(name):
                with qase.step(name):
                    await anyio.sleep(0.01)

            async def test_group():
                async with anyio.create_task_group() as group:
                    group.start_soon(wait, "a")
                    group.start_soon(wait, "b")
                with qase.step("outer"):
                    async with anyio.create_task_group() as group:
                        group.start_soon(wait, "c")
                        group.start_soon(wait, "d")

            async def test_cancelled():
                with pytest.raises(TimeoutError), anyio.fail_after(0.01):
                    await slow()
                with qase.step("after"):
                    pass

            @qase.step("slow")
            async def slow():
                await anyio.sleep(60)
        """
    )
    outcome = project.run(*ANYIO)
    assert outcome.counts == "4 passed", outcome.output

    def waits(*names):
        # Trio starts the tasks of a group in any order.
        return [("wait", "passed", [(name, "passed")]) for name in names]

    by_title = {}
    for result in runs.results(runs.only()):
        by_title.setdefault(result["title"], []).append(tree(result["steps"]))
    for *beside, (outer, status, below) in by_title["test_group"]:
        assert sorted(beside) == waits("a", "b")
        assert (outer, status, sorted(below)) == ("outer", "passed", waits("c", "d"))
    assert by_title["test_cancelled"] == [[("slow", "failed"), ("after", "passed")]] * 2


def test_one_loop_for_all_tests(project, runs):
    """Its tasks may have the context of an earlier test."""
    project.write(
        pages=PAGES,
        test_loop="""
            import asyncio
            import pytest
            from pages import wait
            from qase.pytest import qase

            @pytest.fixture(scope="module")
            def loop():
                loop = asyncio.new_event_loop()
                yield loop
                loop.close()

            @pytest.fixture(scope="module")
            def server(loop):
                async def made():
                    # Before Python 3.10 it belongs to the loop that it is made in.
                    return asyncio.Queue()

                orders = loop.run_until_complete(made())

                async def serve():
                    while True:
                        done, work = await orders.get()
                        done.set_result(await work)

                with qase.step("start"):
                    task = loop.create_task(serve())
                    loop.run_until_complete(asyncio.sleep(0))
                yield orders
                task.cancel()

            async def ask(orders, work):
                done = asyncio.get_running_loop().create_future()
                await orders.put((done, work))
                await done

            @pytest.mark.parametrize("number", [1, 2])
            def test_served(loop, server, number):
                async def both():
                    await asyncio.gather(wait("a"), wait("b"))

                loop.run_until_complete(ask(server, both()))
        """,
    )
    assert project.run().code == 0
    first, second = (tree(result["steps"]) for result in runs.results(runs.only()))
    assert first == [("start", "passed", [waited("a"), waited("b")])]
    assert second == [waited("a"), waited("b")]


@pytest.mark.parametrize(
    ("row", "steps"),
    [
        # The coroutine fails when its step is over.
        ("step of a coroutine", [("outer", "failed", [("break", "passed")])]),
        ("current step", [("outer", "failed", [("break", "failed")])]),
    ],
)
def test_without_the_guard(project, runs, row, steps):
    project.write(
        pages=PAGES,
        conftest=CONFTEST,
        test_async=ASYNC.replace("(page)", "()").replace("await page.", "await Page()."),
    )
    run_without(project, row, *ASYNCIO, "-k", "fails and not one or gathered")
    found = trees(runs)
    assert found["test_fails"] == steps
    # One hangs below the other.
    assert found["test_gathered"][:2] != [waited("a"), waited("b")]
