"""Object storage: DuckDB gets its credentials from the environment, under the names and in the order that S3 clients use."""

import pytest

from daycast.warehouse.object_storage import _secret, is_on_object_storage

KEY = {"AWS_ACCESS_KEY_ID": "ALIBABA", "AWS_SECRET_ACCESS_KEY": "open"}
TOLD = {"scope": "s3://cave/gold/", "key_id": "ALIBABA", "secret": "open", "session_token": "", "region": "us-east-1"}


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, {}),
        ({"AWS_SESSION_TOKEN": "till noon"}, {"session_token": "till noon"}),
        ({"AWS_DEFAULT_REGION": "eu-south-1"}, {"region": "eu-south-1"}),
        ({"AWS_DEFAULT_REGION": "eu-south-1", "AWS_REGION": "eu-north-1"}, {"region": "eu-north-1"}),
    ],
)
def test_without_a_server_it_is_amazons(environment, told):
    assert _secret("s3://cave/gold", "", KEY | environment) == TOLD | told


@pytest.mark.parametrize(
    ("server", "endpoint", "tls"),
    [
        ("http://127.0.0.1:9000", "127.0.0.1:9000", "False"),
        ("https://store.example/", "store.example", "True"),
    ],
)
def test_another_server_has_its_buckets_in_paths(server, endpoint, tls):
    told = {"endpoint": endpoint, "url_style": "path", "use_ssl": tls}
    assert _secret("s3://cave/gold/", server, KEY) == TOLD | told


@pytest.mark.parametrize(("data", "there"), [("s3://cave/gold", True), ("/srv/lake", False), ("s3", False)])
def test_only_an_address_of_a_bucket_is_one(data, there):
    assert is_on_object_storage(data) is there
