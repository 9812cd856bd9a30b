import os
import sqlite3
import time

import requests
import urllib3

URL = os.environ["COMPAT_WEBSITE"]


def test_sleep():
    time.sleep(0.01)


def test_sql():
    connection = sqlite3.connect(":memory:")
    cursor = connection.cursor()
    cursor.execute("create table article (name text)")
    cursor.execute("insert into article values (?)", ("pear",))
    assert cursor.execute("select name from article").fetchone() == ("pear",)
    connection.close()


def test_requests():
    assert requests.get(f"{URL}/page", timeout=30).status_code == 200
    assert requests.post(f"{URL}/missing", json={"a": 1}, timeout=30).status_code == 404


def test_urllib3():
    assert urllib3.PoolManager().request("GET", f"{URL}/page").status == 200


def test_nothing_of_the_reporter_is_left_over():
    pass
