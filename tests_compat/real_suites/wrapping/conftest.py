"""Wraps what upstream is made of, as conftests do that want a little more of it."""

from qase.commons.models.runtime import Runtime
from qase.commons.reporters import QaseCoreReporter
from qase.pytest.plugin import QasePytestPlugin

_add_result = QaseCoreReporter.add_result
_add_attachments = QasePytestPlugin.add_attachments
_add_attachment = Runtime.add_attachment
_start = QasePytestPlugin.start_pytest_item


def add_result(self, result):
    if "hidden" not in result.title:
        result.title = result.title.replace("_", " ")
        _add_result(self, result)


def add_attachments(self, *attachments):
    _add_attachments(self, *attachments)
    _add_attachments(self, ("more", "text/plain", "more.txt"))


def add_attachment(self, attachment):
    attachment.file_name = f"ci_{attachment.file_name}"
    _add_attachment(self, attachment)


def start_pytest_item(self, item):
    _start(self, item)
    self.runtime.result.add_param("host", "ci")


QaseCoreReporter.add_result = add_result
QasePytestPlugin.add_attachments = add_attachments
Runtime.add_attachment = add_attachment
QasePytestPlugin.start_pytest_item = start_pytest_item
