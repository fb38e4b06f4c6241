#include "base/git/git.h"

static const struct {
	const char *name;
	bool transient;
} failures[GIT_FAILURE_COUNT] = {
    [GIT_OK] = {"OK", false},
    [GIT_REPOSITORY_UNREACHABLE] = {"REPOSITORY_UNREACHABLE", true},
    [GIT_LOGIN_REFUSED] = {"LOGIN_REFUSED", false},
    [GIT_REPOSITORY_EMPTY] = {"REPOSITORY_EMPTY", false},
    [GIT_BRANCH_NOT_FOUND] = {"BRANCH_NOT_FOUND", false},
    [GIT_REVISION_NOT_FOUND] = {"REVISION_NOT_FOUND", false},
    [GIT_COMMIT_GONE] = {"COMMIT_GONE", false},
    [GIT_PATH_NOT_FOUND] = {"PATH_NOT_FOUND", false},
    [GIT_PATH_NOT_A_FOLDER] = {"PATH_NOT_A_FOLDER", false},
    [GIT_BUNDLE_EMPTY] = {"BUNDLE_EMPTY", false},
    [GIT_BUNDLE_REFUSED] = {"BUNDLE_REFUSED", false},
    [GIT_BUNDLE_TOO_BIG] = {"BUNDLE_TOO_BIG", false},
    [GIT_TAG_TAKEN] = {"TAG_TAKEN", false},
    [GIT_PUSH_REFUSED] = {"PUSH_REFUSED", false},
    [GIT_CONFLICT] = {"CONFLICT", false},
    [GIT_HISTORY_REWRITTEN] = {"HISTORY_REWRITTEN", false},
    [GIT_WRITE_REFUSED] = {"WRITE_REFUSED", false},
    [GIT_REF_PROTECTED] = {"REF_PROTECTED", false},
    [GIT_HOST_KEY_UNKNOWN] = {"HOST_KEY_UNKNOWN", false},
    [GIT_HOST_KEY_CHANGED] = {"HOST_KEY_CHANGED", false},
    [GIT_CERTIFICATE_REFUSED] = {"CERTIFICATE_REFUSED", false},
    [GIT_REPOSITORY_MOVED] = {"REPOSITORY_MOVED", false},
    [GIT_DIGEST_MISMATCH] = {"DIGEST_MISMATCH", false},
    [GIT_MIRROR_CORRUPT] = {"MIRROR_CORRUPT", true},
    [GIT_DISK_FULL] = {"DISK_FULL", true},
    [GIT_OUT_OF_MEMORY] = {"OUT_OF_MEMORY", true},
    [GIT_WORKER_FAILED] = {"WORKER_FAILED", true},
};

static const char *const rules[GIT_RULE_CONTRACT] = {
    [GIT_RULE_NONE] = "NONE",
    [GIT_RULE_NAME_EMPTY] = "NAME_EMPTY",
    [GIT_RULE_NAME_DOT] = "NAME_DOT",
    [GIT_RULE_NAME_DOT_DOT] = "NAME_DOT_DOT",
    [GIT_RULE_NAME_SLASH] = "NAME_SLASH",
    [GIT_RULE_NAME_BACKSLASH] = "NAME_BACKSLASH",
    [GIT_RULE_NAME_CONTROL] = "NAME_CONTROL",
    [GIT_RULE_NAME_NOT_UTF8] = "NAME_NOT_UTF8",
    [GIT_RULE_NAME_TOO_LONG] = "NAME_TOO_LONG",
    [GIT_RULE_NAME_DOT_GIT] = "NAME_DOT_GIT",
    [GIT_RULE_NAME_TWIN] = "NAME_TWIN",
    [GIT_RULE_PATH_TOO_LONG] = "PATH_TOO_LONG",
    [GIT_RULE_TOO_DEEP] = "TOO_DEEP",
    [GIT_RULE_TOO_MANY_FILES] = "TOO_MANY_FILES",
    [GIT_RULE_TOO_MANY_BYTES] = "TOO_MANY_BYTES",
    [GIT_RULE_FILE_TOO_BIG] = "FILE_TOO_BIG",
    [GIT_RULE_LINK] = "LINK",
    [GIT_RULE_GITLINK] = "GITLINK",
    [GIT_RULE_SPECIAL_FILE] = "SPECIAL_FILE",
    [GIT_RULE_MALFORMED] = "MALFORMED",
    [GIT_RULE_LFS_POINTER] = "LFS_POINTER",
};

const char *git_failure_name(enum git_failure failure)
{
	return (unsigned)failure < GIT_FAILURE_COUNT ? failures[failure].name : "UNKNOWN";
}

bool git_failure_is_transient(enum git_failure failure)
{
	return (unsigned)failure < GIT_FAILURE_COUNT && failures[failure].transient;
}

const char *git_rule_name(enum git_rule rule)
{
	return (unsigned)rule < GIT_RULE_CONTRACT
		   ? rules[rule]
		   : contract_rule_name((enum contract_rule)(rule - GIT_RULE_CONTRACT));
}
