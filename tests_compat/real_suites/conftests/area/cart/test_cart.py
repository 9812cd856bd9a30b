def test_in_an_area(log_step):
    log_step("in the area")
