"""Downloads from a server on this machine: mirrors in turn, checksums, and nothing half-written left behind."""

from __future__ import annotations

import hashlib
import http.server
import logging
import threading

import data_files as files
import numpy as np
import pytest

from tinygrad_edu.datasets import CIFAR10, MNIST, FashionMNIST
from tinygrad_edu.datasets.download import fetch
from tinygrad_edu.errors import DataError

pooch = pytest.importorskip("pooch")


class Server:
    """Serves path -> bytes; /cut/ stops half way, /wrong/ changes a byte, anything unknown is 404."""

    def __init__(self, content):
        self.content = content
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                _, mirror, name = self.path.split("/", 2)
                body = outer.content.get(name) if mirror in ("good", "cut", "wrong") else None
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if mirror == "wrong":
                    body = body[:-1] + bytes([body[-1] ^ 1])
                self.wfile.write(body[: len(body) // 2] if mirror == "cut" else body)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def mirror(self, name):
        return f"http://127.0.0.1:{self.http.server_port}/{name}/"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pooch.get_logger().setLevel(logging.WARNING)
    server = Server(files.mnist_files())
    yield server
    server.close()
    pooch.get_logger().setLevel(logging.INFO)


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def small_fashion(server, *mirrors):
    class Small(FashionMNIST):
        pass

    Small.mirrors = [server.mirror(name) for name in mirrors]
    Small.resources = [(name, md5(content)) for name, content in server.content.items()]
    return Small


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "mirrors", [["good"], ["missing", "good"], ["cut", "good"], ["wrong", "cut", "missing", "good"]]
)
def test_the_first_good_mirror_is_used(server, tmp_path, mirrors):
    data = small_fashion(server, *mirrors)(tmp_path, download=True)
    images, labels = files.mnist_arrays(12, seed=12)
    np.testing.assert_array_equal(np.asarray(data.data), images)
    np.testing.assert_array_equal(np.asarray(data.targets), labels)
    assert names(tmp_path / "FashionMNIST" / "raw") == sorted(server.content)


@pytest.mark.parametrize(
    ("mirror", "words"), [("missing", "404"), ("cut", "IncompleteRead|broken"), ("wrong", "hash|checksum")]
)
def test_a_failed_download_leaves_no_file(server, tmp_path, mirror, words):
    with pytest.raises(DataError, match=rf"(?s)cannot download train-images.*{mirror}/train-images.*({words})"):
        small_fashion(server, mirror)(tmp_path, download=True)
    assert names(tmp_path) == []


def test_no_server(tmp_path, server):
    server.http.server_close()
    mirror = "http://127.0.0.1:9/"  # the discard port: nobody listens
    with pytest.raises(DataError, match="Tried:\n  http://127.0.0.1:9/x.gz"):
        fetch("x.gz", "0" * 32, [mirror], tmp_path, "MNIST")


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    cls = small_fashion(server, "good")
    cls(tmp_path, download=True)
    assert len(server.requests) == 4
    (tmp_path / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    cls(tmp_path, download=True)
    assert len(server.requests) == 5
    assert len(cls(tmp_path, train=False, download=True)) == 6
    assert len(server.requests) == 5


def test_a_file_in_place_is_checked_by_header_not_by_checksum(server, tmp_path):
    cls = small_fashion(server, "good")
    cls.resources = [(name, "0" * 32) for name, _ in cls.resources]
    files.write(tmp_path / "FashionMNIST" / "raw", files.mnist_files(packed=False))
    assert len(cls(tmp_path, download=True)) == 12
    assert server.requests == []


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "root").write_text("a file")
    with pytest.raises(DataError, match="cannot make the folder .*choose another root"):
        small_fashion(server, "good")(tmp_path / "root", download=True)


def test_cifar_is_fetched_and_unpacked(server, tmp_path):
    archive = files.tar_gz({**files.cifar_python(4), "cifar-10-batches-py/readme.html": b"", "../evil": b"x"})
    server.content["cifar-10-python.tar.gz"] = archive

    class Small(CIFAR10):
        mirrors = [server.mirror("cut"), server.mirror("good")]
        archive = ("cifar-10-python.tar.gz", md5(server.content["cifar-10-python.tar.gz"]))
        images_per_file = 4

    root = tmp_path / "root"
    assert len(Small(root, download=True)) == 20
    assert names(tmp_path) == sorted([*files.cifar_names(), "cifar-10-python.tar.gz"])
    (root / "cifar-10-python.tar.gz").unlink()
    assert len(Small(root, train=False, download=True)) == 4
    assert len(server.requests) == 2


@pytest.mark.parametrize("cls", [MNIST, FashionMNIST])
def test_published_checksums(cls):
    assert {name for name, _ in cls.resources} == set(files.mnist_files())
    assert all(len(bytes.fromhex(checksum)) == 16 for _, checksum in cls.resources)
    assert all(mirror.endswith("/") for mirror in cls.mirrors)
