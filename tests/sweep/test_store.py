"""Where rows lie: folders, and object stores behind a server of S3 in this process."""

import json
import os
from pathlib import Path

import pytest

from padless import UsageError, sweep
from padless.sweep.store import Folder, Objects, StoreError, open_store

SMALL = {"model": "models.networks:Small", "target": "unit:4", "budget": "macs=50%"}


@pytest.fixture
def bucket(monkeypatch):
    """The URI of an empty bucket."""
    moto = pytest.importorskip("moto.server")
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="sweeps")
    yield f"s3://sweeps/first?scheme=http&endpoint_override={host}:{port}&region=us-east-1"
    server.stop()


@pytest.mark.filterwarnings("ignore")
def test_an_object_store_gets_the_same_rows(bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]))
    points = [{**SMALL, "seed": seed} for seed in (0, 1)] + [{**SMALL, "budget": "macs=1%"}]
    there, here = (sweep(points, out=out, jobs=1) for out in (bucket, "o"))
    for one, other in zip(there, here, strict=True):
        for row in (one, other):
            row.pop("seconds", None), row.pop("host", None)
        assert one == other
    store = open_store(bucket)
    assert store.folder is None
    assert store.names("points") == sorted(f"{row['id']}.json" for row in there)
    folder = there[0]["folder"]
    assert {"plan.json", "model.safetensors", "summary.json", "report.html"} <= set(store.names(folder))
    assert json.loads(store.read(f"{folder}/plan.json"))["seed"] == 0
    assert store.read("results.parquet").startswith(b"PAR1")
    assert b"A sweep by padless" in store.read("sweep.html")
    assert store.read("points/none.json") is None and store.names("none") == []
    assert [row["id"] for row in sweep(points, out=bucket)] == [row["id"] for row in there]
    assert not list(tmp_path.glob("s3*"))


def test_a_store_that_does_not_answer(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    where = "s3://sweeps/first?scheme=http&endpoint_override=127.0.0.1:9&region=us-east-1"
    with pytest.raises(StoreError, match=r"^s3://sweeps/first: points cannot be read: "):
        sweep([SMALL], out=where)
    with pytest.raises(StoreError, match=r"^s3://sweeps/first: points/a\.json cannot be written: "):
        open_store(where).write("points/a.json", b"")
    with pytest.raises(StoreError, match=r"^s3://sweeps/first: points/a\.json cannot be read: "):
        open_store(where).read("points/a.json")


def test_what_is_no_store():
    with pytest.raises(
        UsageError, match=r"nothing://a is no store that can be opened: .*Give a folder, or s3://BUCKET/FOLDER"
    ):
        open_store("nothing://a")


def test_a_folder_and_a_local_uri_alike(tmp_path):
    for store in (Folder(tmp_path / "a"), Objects(f"file://{tmp_path}/b")):
        assert store.read("points/x.json") is None and store.names("points") == []
        store.write("points/x.json", b"1")
        store.write("points/x.json", b"2")
        store.write("y", b"3")
        assert (store.read("points/x.json"), store.names("points"), store.read("y")) == (b"2", ["x.json"], b"3")


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "points").touch()
    store = Folder(tmp_path / "a")
    with pytest.raises(StoreError, match="points/x.json cannot be written: "):
        store.write("points/x.json", b"")
    with pytest.raises(StoreError, match="points cannot be read: "):
        store.names("points")
    (tmp_path / "a" / "folder").mkdir()
    with pytest.raises(StoreError, match="folder cannot be read: "):
        store.read("folder")
