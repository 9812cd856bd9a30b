"""Calls the hooks of `hookspecs`; what they raise is told and goes no further."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from .errors import SettingsError
from .settings.sources import Defaults


class Hooks:
    """The hooks of one session.

    Args:
        config: pytest's.
        tell: takes a line for the user.
    """

    def __init__(self, config: pytest.Config, tell: Callable[[str], None]) -> None:
        self._config = config
        self._tell = tell
        self._told: set[tuple[str, str]] = set()

    def defaults(self) -> Defaults:
        """What ``pytest_famacase_defaults`` gives.

        Raises:
            SettingsError: that is no document.
        """
        name = "pytest_famacase_defaults"
        with _givers(getattr(self._config.hook, name)) as givers:
            document = self._call(name, self._config)
        if document is None:
            return Defaults()
        source = f"{name} of {givers[-1] if givers else 'a wrapper'}"
        if not isinstance(document, Mapping):
            raise SettingsError(
                f"{source} gave {type(document).__name__}, not a document as in famacase.config.json: no "
                "settings could be read. Correct the hook, or let it return None."
            )
        return Defaults(document, source)

    def are_implemented(self, name: str) -> bool:
        """Whether any plugin implements a hook."""
        return bool(_hook(self._config, name).get_hookimpls())

    def call(self, name: str, **arguments: object) -> Any:
        """Call a hook of the session; returns what it answers, None if it raised."""
        return self._call(name, self._config, config=self._config, **arguments)

    def lets_through(self, item: pytest.Item | None, payload: dict[str, Any]) -> bool:
        """Ask ``pytest_famacase_result`` of a result, which it may change; False: it is kept back."""
        node = self._config if item is None else item
        if not _hook(node, "pytest_famacase_result").get_hookimpls():
            return True
        from .delivery.system import System

        before, result_id = System.dumps(payload), payload["id"]
        answers = self._answers(node, payload, lambda: System.loads(before), config=self._config, item=item)
        try:
            changed = System.loads(System.dumps(payload, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            changed = System.loads(before)
            self._say("pytest_famacase_result", "a plugin", f"left what is no JSON ({error})")
        changed["id"] = result_id
        payload.clear()
        payload.update(changed)
        return not any(answer is False for answer in answers)

    def _answers(
        self,
        node: pytest.Config | pytest.Item,
        payload: dict[str, Any],
        original: Callable[[], dict[str, Any]],
        **arguments: object,
    ) -> list[object]:
        """What ``pytest_famacase_result`` answers, of those plugins that do not raise.

        pluggy asks nobody any more once one has raised, and another may be there to keep secrets back: so all
        but the one that failed are asked again, of the result as it was.
        """
        name = "pytest_famacase_result"
        caller = _hook(node, name)
        while True:
            try:
                return list(caller(result=payload, **arguments))
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 (the code of others, which may call sys.exit; it is told)
                plugin = self._told_of(error, name, caller)
            payload.clear()
            payload.update(original())
            if plugin is None:
                return []
            everybody = {impl.plugin for impl in _hook(self._config, name).get_hookimpls()}
            healthy = {impl.plugin for impl in caller.get_hookimpls()} - {plugin}
            caller = self._config.pluginmanager.subset_hook_caller(name, everybody - healthy)

    def _call(self, name: str, node: pytest.Config | pytest.Item, **arguments: object) -> Any:
        """What the hook answers; None if it raised."""
        caller = _hook(node, name)
        try:
            return caller(**arguments)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 (the code of others, which may call sys.exit; it is told)
            self._told_of(error, name, caller)
            return None

    def _told_of(self, error: BaseException, name: str, caller: Any) -> Any:
        """Tell what was raised; returns the plugin that it comes from, None if that is not known."""
        impl = _raiser(error, caller)
        plugin = "a plugin" if impl is None else str(impl.plugin_name)
        self._say(name, plugin, f"raised {type(error).__name__}: {error}")
        return None if impl is None else impl.plugin

    def _say(self, name: str, plugin: str, what: str) -> None:
        if (name, plugin) not in self._told:
            self._told.add((name, plugin))
            self._tell(
                f"the hook {name} of {plugin} {what}. Reporting goes on as if it were not there, and this is "
                "said once; correct the hook."
            )


def _hook(node: pytest.Config | pytest.Item, name: str) -> Any:
    """The hook as it is called for a test, whose directory's conftest.py takes part, or for the session."""
    return getattr(node.ihook if isinstance(node, pytest.Item) else node.hook, name)


def _raiser(error: BaseException, caller: Any) -> Any:
    """The implementation that raised an error; None if it is none of the hook's."""
    impls = {getattr(impl.function, "__code__", None): impl for impl in caller.get_hookimpls()}
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    # The innermost: a wrapper stands around the others.
    return next((impls[code] for code in reversed(frames) if code in impls), None)


@contextlib.contextmanager
def _givers(caller: Any) -> Iterator[list[str]]:
    """The names of the plugins that answer, which pluggy does not tell, while the context lasts."""
    givers: list[str] = []

    def noting(function: Callable[..., object], name: str) -> Callable[..., object]:
        def noted(*arguments: object) -> object:
            answer = function(*arguments)
            if answer is not None:
                givers.append(name)
            return answer

        return noted

    functions = [
        (impl, impl.function)
        for impl in caller.get_hookimpls()
        if not (impl.hookwrapper or getattr(impl, "wrapper", False))
    ]
    try:
        for impl, function in functions:
            impl.function = noting(function, impl.plugin_name)
        yield givers
    finally:
        for impl, function in functions:
            impl.function = function
