"""An S3 server on loopback for tests: moto in a thread, with conditional puts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock


@contextmanager
def s3_server(bucket: str) -> Iterator[str]:
    """Start a server, point the environment at it, create a bucket, and yield its s3:// URL."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "SPECTROFLOW_RETRY_SCALE": "0.01",
    }
    try:
        with mock.patch.dict(os.environ, environment):
            import s3fs

            s3fs.S3FileSystem.clear_instance_cache()
            fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
            yield f"s3://{bucket}"
            s3fs.S3FileSystem.clear_instance_cache()
    finally:
        server.stop()
