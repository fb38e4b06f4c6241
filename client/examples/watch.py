#!/usr/bin/env python3
"""Follows every change of a Sluice server, in Python, without any code of Sluice's.

    client/examples/watch.py [--server HOST:PORT] [--workspace NAME] [--from REVISION] [--state FILE]

SLUICE_TLS_CA, SLUICE_TLS_CERT and SLUICE_TLS_KEY name the files of a context (`sluice login`; `sluice
context show` says where they are); without them it speaks to a server with --insecure. Whatever renews
the certificate meanwhile, it is read anew when a stream ends with the old one.

Needs Python's grpcio and protobuf (Debian: python3-grpcio, python3-protobuf) and `protoc`, which
turns proto/sluice/v1 into message classes when the program starts. SLUICE_PROTO names the folder
when it is not ../../proto from here.

It shows how a watcher misses nothing: each response carries the revision up to which all has been
delivered; after a break, or a restart with --state, it goes on from there. When the server has
compacted what was missed (OUT_OF_RANGE), it says so and ends with 3: lists must be read anew.
Ctrl-C ends it with 0. Prints one JSON object per event.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

HERE = pathlib.Path(__file__).resolve().parent
PROTO = pathlib.Path(os.environ.get("SLUICE_PROTO", HERE.parent.parent / "proto"))


def load_messages():
    """Maps a full message name to its class."""
    files = sorted(str(p.relative_to(PROTO)) for p in (PROTO / "sluice" / "v1").glob("*.proto"))
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        subprocess.run(["protoc", f"-I{PROTO}", "-I/usr/include", "--include_imports",
                        f"--descriptor_set_out={out.name}", *files], check=True)
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    if hasattr(message_factory, "GetMessageClass"):  # protobuf 4 and later
        return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name))


class Watcher:
    def __init__(self, options, message):
        self.options, self.message = options, message
        self.state = pathlib.Path(options.state) if options.state else None
        self.channel = self.credentials = None
        self.connect()
        self.revision = options.revision
        if self.state and self.state.exists() and not self.revision:
            self.revision = int(self.state.read_text())

    def connect(self):
        """True: as somebody else than before, or with another certificate."""
        names = [os.environ.get(f"SLUICE_TLS_{name}") for name in ("CA", "KEY", "CERT")]
        credentials = [pathlib.Path(name).read_bytes() for name in names if name]
        if self.channel and credentials == self.credentials:
            return False
        if self.channel:
            self.channel.close()
        self.credentials = credentials
        self.channel = (grpc.secure_channel(self.options.server, grpc.ssl_channel_credentials(*credentials))
                        if credentials else grpc.insecure_channel(self.options.server))
        return True

    def call(self, kind, path, request, response, **kwargs):
        method = getattr(self.channel, kind)(
            path, request_serializer=self.message(request).SerializeToString,
            response_deserializer=self.message(response).FromString)
        return method(self.message(request)(**kwargs), **({"timeout": 30} if kind == "unary_unary" else {}))

    def find_now(self):
        """`From now on` as a number: a break before the first response must lose nothing."""
        page = self.message("sluice.v1.PageRequest")(page_size=1)
        apps = self.call("unary_unary", "/sluice.v1.AppService/ListApps", "sluice.v1.ListAppsRequest",
                         "sluice.v1.ListAppsResponse", workspace=self.options.workspace, page=page)
        self.revision = apps.page.revision

    def print_changes(self, response):
        for change in response.changes:
            for event in change.events:
                print(json.dumps({"revision": change.revision, "by": change.by, "method": change.method,
                                  **json_format.MessageToDict(event)}), flush=True)
        self.revision = max(self.revision, response.revision)
        if self.state:
            partial = self.state.with_suffix(".new")
            partial.write_text(str(self.revision))
            partial.replace(self.state)

    def follow(self):
        if not self.revision:
            self.find_now()
        stream = self.call("unary_stream", "/sluice.v1.WatchService/Watch", "sluice.v1.WatchRequest",
                           "sluice.v1.WatchResponse", workspace=self.options.workspace,
                           from_revision=self.revision)
        for response in stream:
            self.print_changes(response)


def is_break(error):
    too_slow = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # ended by the server; nothing is lost
    return too_slow or error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=os.environ.get("SLUICE_SERVER", "127.0.0.1:7443"))
    parser.add_argument("--workspace", default="")
    parser.add_argument("--from", dest="revision", type=int, default=0)
    parser.add_argument("--state", help="file that keeps the last revision over restarts")
    watcher = Watcher(parser.parse_args(), load_messages())
    pause = 0.2
    while True:
        try:
            before = watcher.revision
            watcher.follow()
        except grpc.RpcError as error:
            renewed = error.code() == grpc.StatusCode.UNAUTHENTICATED and watcher.connect()
            if not is_break(error) and not renewed:
                print(f"watch.py: {error.code().name}: {error.details()}", file=sys.stderr)
                return 3
            print(f"watch.py: {error.code().name}, trying again", file=sys.stderr)
        pause = 0.2 if watcher.revision > before else min(pause * 2, 5)
        time.sleep(pause * random.uniform(0.5, 1))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
