"""sl_fuzz_test: one fuzz target, two uses.

`bazel test` replays the corpus; `bazel run --config=fuzz` fuzzes.
"""

def sl_fuzz_test(name, srcs, corpus, deps):
    native.cc_test(
        name = name,
        size = "small",
        srcs = srcs + select({
            "//bazel:fuzzing": [],
            "//conditions:default": ["//tests/lib:fuzz_replay.c"],
        }),
        args = ["$(locations :%s_corpus)" % name],
        data = [":%s_corpus" % name],
        # libFuzzer calls this function by name; no header declares it.
        copts = ["-Wno-missing-prototypes"],
        linkopts = select({
            "//bazel:fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps,
    )
    native.filegroup(name = name + "_corpus", srcs = corpus)
