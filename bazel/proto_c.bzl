"""sl_proto_c: .proto files into one C library, and into one embedded descriptor set.

The package that calls it is the proto root: "sluice/v1/app.proto" becomes
"sluice/v1/app.pb-c.h" for C and is imported by that name in other files.
"""

def _stem(path):
    return path[:-len(".proto")]

def sl_proto_c(name, srcs, system = [], root = "proto"):
    """A cc_library `name` of protobuf-c code.

    Args:
      name: of the library.
      srcs: .proto files of this package.
      system: .proto files below /usr/include that srcs import ("google/protobuf/any.proto").
      root: this package's folder, seen from the workspace.
    """
    stems = [_stem(path) for path in srcs + system]
    native.genrule(
        name = name + "_gen",
        srcs = srcs,
        outs = [stem + ".pb-c.c" for stem in stems] + [stem + ".pb-c.h" for stem in stems],
        cmd = "protoc-c --proto_path={root} --proto_path=/usr/include --c_out=$(RULEDIR) $(SRCS) {system}".format(
            root = root,
            system = " ".join(["/usr/include/" + path for path in system]),
        ),
    )
    native.cc_library(
        name = name,
        srcs = [stem + ".pb-c.c" for stem in stems],
        hdrs = [stem + ".pb-c.h" for stem in stems],
        copts = ["-w"],  # nobody reads or mends generated code
        includes = ["."],
        deps = ["//bazel/third_party:protobuf_c"],
        visibility = ["//visibility:public"],
    )

def sl_proto_descriptors(name, srcs, hdr, symbol, root = "proto"):
    """A cc_library `name` that holds the files' FileDescriptorSet, imports included.

    Args:
      name: of the library.
      srcs: .proto files of this package.
      hdr: the header that declares `symbol` and `symbol`_size.
      symbol: the array's name in C.
      root: this package's folder, seen from the workspace.
    """
    native.genrule(
        name = name + "_set",
        srcs = srcs,
        outs = [name + ".binpb"],
        cmd = "protoc --proto_path={root} --proto_path=/usr/include --include_imports --descriptor_set_out=$@ $(SRCS)".format(
            root = root,
        ),
    )
    native.genrule(
        name = name + "_gen",
        srcs = [name + ".binpb"],
        outs = [name + ".c"],
        cmd = """{{
            echo '#include "{root}/{hdr}"'
            echo 'const uint8_t {symbol}[] = {{'
            od -An -v -tx1 $< | sed 's/ \\([0-9a-f][0-9a-f]\\)/0x\\1,/g'
            echo '}};'
            echo 'const size_t {symbol}_size = sizeof({symbol});'
        }} > $@""".format(root = root, hdr = hdr, symbol = symbol),
    )
    native.cc_library(
        name = name,
        srcs = [name + ".c"],
        hdrs = [hdr],
        visibility = ["//visibility:public"],
    )
