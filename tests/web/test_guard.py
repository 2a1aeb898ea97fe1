import pytest

from mnist3.web.guard import hosts_of


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_the_loopback_may_be_named_in_every_way(host):
    assert hosts_of("127.0.0.1").allow(host)


@pytest.mark.parametrize("host", ["", "example.org", "127.0.0.1.example.org", "10.0.0.1", "[::1"])
def test_on_the_loopback_no_other_name_will_do(host):
    assert not hosts_of("127.0.0.1").allow(host)


def test_on_all_addresses_any_address_will_do_but_no_name_of_others():
    hosts = hosts_of("0.0.0.0")
    assert hosts.allow("192.168.1.7:8000") and hosts.allow("[fe80::1]:8000")
    assert hosts.allow("localhost:8000")
    assert not hosts.allow("example.org:8000")
    assert hosts_of("reader.lan").allow("reader.lan:8000")
