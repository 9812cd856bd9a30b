def test_word():
    pass


def test_other():
    pass
