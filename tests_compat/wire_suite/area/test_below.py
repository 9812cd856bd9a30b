import pytest


class TestGroup:
    class TestInner:
        def test_in_inner_class(self):
            pass

    @pytest.mark.parametrize("value", ["a-b", "c"])
    def test_in_class(self, value):
        pass
