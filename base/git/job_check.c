/* What a job may say, checked by both sides of the pipe before anything is done. */
#include <stdio.h>
#include <string.h>

#include "base/git/job_internal.h"
#include "base/git/url_internal.h"
#include "base/mem/own.h"

enum {
	NEEDS_URL = 1,
	NEEDS_COMMIT = 2,
	NEEDS_REF = 4,
	NEEDS_STAGING = 8,
	NEEDS_OTHER = 16,
	NEEDS_WORDS = 32,
	NEEDS_FOLDER = 64,
	NEEDS_ARCHIVE = 128,
	MAKES_MIRROR = 256
};

static const struct op_row {
	const char *name;
	unsigned needs;
} ops[] = {
    [GIT_RESOLVE] = {"RESOLVE", NEEDS_URL},
    [GIT_INSPECT] = {"INSPECT", NEEDS_COMMIT},
    [GIT_PUBLISH] = {"PUBLISH", NEEDS_URL | NEEDS_COMMIT | NEEDS_REF},
    [GIT_FETCH] = {"FETCH", NEEDS_URL},
    [GIT_CHECKOUT] = {"CHECKOUT", NEEDS_COMMIT | NEEDS_STAGING},
    [GIT_DIFF] = {"DIFF", NEEDS_COMMIT | NEEDS_OTHER},
    [GIT_LS] = {"LS", NEEDS_URL},
    [GIT_LS_PUSH] = {"LS_PUSH", NEEDS_URL},
    [GIT_COMMIT] = {"COMMIT", NEEDS_URL | NEEDS_WORDS},
    [GIT_COMPARE] = {"COMPARE", NEEDS_FOLDER},
    [GIT_LOG] = {"LOG", NEEDS_OTHER},
    [GIT_COUNT] = {"COUNT", NEEDS_OTHER},
    [GIT_VERIFY] = {"VERIFY", NEEDS_COMMIT | NEEDS_STAGING},
    [GIT_APPS] = {"APPS", NEEDS_URL},
    [GIT_EXPORT] = {"EXPORT", NEEDS_COMMIT | NEEDS_ARCHIVE},
    [GIT_UNPACK] = {"UNPACK", NEEDS_COMMIT | NEEDS_ARCHIVE | MAKES_MIRROR},
};

bool job_uses_network(enum git_op op)
{
	return (ops[op].needs & NEEDS_URL) != 0;
}

bool job_makes_mirror(enum git_op op)
{
	return (ops[op].needs & (NEEDS_URL | MAKES_MIRROR)) != 0;
}

const char *job_op_name(enum git_op op)
{
	return ops[op].name;
}

bool job_is_oid(const char *text)
{
	return strlen(text) == GIT_OID_TEXT - 1 &&
	       strspn(text, "0123456789abcdef") == GIT_OID_TEXT - 1;
}

/* One part of a ref, as git-check-ref-format(1) has it. */
static bool ref_part_is_fine(const char *part, size_t bytes)
{
	static const char lock[] = ".lock";
	size_t tail = sizeof(lock) - 1;
	return bytes > 0 && part[0] != '.' && part[bytes - 1] != '.' &&
	       (bytes < tail || memcmp(part + bytes - tail, lock, tail) != 0);
}

bool job_ref_is_fine(const char *ref)
{
	size_t bytes = strnlen(ref, GIT_REF_MAX);
	if (bytes == 0 || bytes >= GIT_REF_MAX || ref[0] == '-' || strstr(ref, "..") != NULL ||
	    strstr(ref, "@{") != NULL || strcmp(ref, "@") == 0) {
		return false;
	}
	for (const char *c = ref; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("~^:?*[\\", *c) != NULL) {
			return false;
		}
	}
	for (const char *part = ref;; part++) {
		size_t part_bytes = strcspn(part, "/");
		if (!ref_part_is_fine(part, part_bytes)) {
			return false;
		}
		part += part_bytes;
		if (*part == '\0') {
			return true;
		}
	}
}

bool job_path_is_fine(const char *path)
{
	if (strnlen(path, GIT_PATH_MAX) >= GIT_PATH_MAX) {
		return false;
	}
	for (const char *part = path; *path != '\0';) {
		size_t bytes = strcspn(part, "/");
		enum git_rule rule = GIT_RULE_NONE;
		if (!git_name_check(part, bytes, &rule)) {
			return false;
		}
		if (part[bytes] == '\0') {
			return true;
		}
		part += bytes + 1;
	}
	return true;
}

static sl_code refuse(struct sl_err *err, const char *field, const char *value, const char *rule)
{
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "%s '%.120s' %s", field, value, rule);
	sl_err_field(err, field, rule);
	return code;
}

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static bool is_one_line(const char *text, const char *without)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f || strchr(without, *c) != NULL) {
			return false;
		}
	}
	return true;
}

static sl_code check_texts(const struct git_job *job, struct sl_err *err)
{
	unsigned needs = ops[job->op].needs;
	const struct {
		const char *field, *value;
		bool needed, fine;
		const char *rule;
	} rows[] = {
	    {"mirror", or_empty(job->mirror), true, or_empty(job->mirror)[0] == '/',
	     "must be an absolute path"},
	    {"staging", or_empty(job->staging), (needs & NEEDS_STAGING) != 0,
	     or_empty(job->staging)[0] == '/', "must be an absolute path"},
	    {"commit", or_empty(job->commit), (needs & NEEDS_COMMIT) != 0,
	     job_is_oid(or_empty(job->commit)), "must be 40 lower-case hex digits"},
	    {"other_commit", or_empty(job->other_commit), (needs & NEEDS_OTHER) != 0,
	     job_is_oid(or_empty(job->other_commit)), "must be 40 lower-case hex digits"},
	    {"want_tree", or_empty(job->want_tree), (needs & NEEDS_FOLDER) != 0,
	     job_is_oid(or_empty(job->want_tree)), "must be 40 lower-case hex digits"},
	    {"ref", or_empty(job->ref), (needs & NEEDS_REF) != 0,
	     job_ref_is_fine(or_empty(job->ref)), "must be a legal Git ref"},
	    {"path", or_empty(job->path), false, job_path_is_fine(or_empty(job->path)),
	     "must be a relative path of legal names with single slashes"},
	    {"other_path", or_empty(job->other_path), false,
	     job_path_is_fine(or_empty(job->other_path)),
	     "must be a relative path of legal names with single slashes"},
	    {"move_from", or_empty(job->move_from), false,
	     job_path_is_fine(or_empty(job->move_from)),
	     "must be a relative path of legal names with single slashes"},
	    {"record_path", or_empty(job->record_path), false,
	     job_path_is_fine(or_empty(job->record_path)),
	     "must be a relative path of legal names with single slashes"},
	    {"archive", or_empty(job->archive), (needs & NEEDS_ARCHIVE) != 0,
	     or_empty(job->archive)[0] == '/', "must be an absolute path"},
	    {"folder", or_empty(job->folder), (needs & NEEDS_FOLDER) != 0,
	     or_empty(job->folder)[0] == '/', "must be an absolute path"},
	    {"author", or_empty(job->author), (needs & NEEDS_WORDS) != 0,
	     is_one_line(or_empty(job->author), "<>"), "must be one line without < and >"},
	    {"operation", or_empty(job->operation), (needs & NEEDS_WORDS) != 0,
	     is_one_line(or_empty(job->operation), " "), "must be one word"},
	    {"message", or_empty(job->message), (needs & NEEDS_WORDS) != 0, true, "must be given"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		bool given = rows[i].value[0] != '\0';
		if (given ? !rows[i].fine : rows[i].needed) {
			return refuse(err, rows[i].field, rows[i].value, rows[i].rule);
		}
	}
	return SL_OK;
}

static sl_code check_fetch(const struct git_job *job, struct sl_err *err)
{
	bool has_ref = or_empty(job->ref)[0] != '\0';
	if (has_ref && strncmp(job->ref, "refs/", 5) != 0 && job->op != GIT_RESOLVE &&
	    job->op != GIT_COMMIT && job->op != GIT_APPS) {
		return refuse(err, "ref", job->ref, "must begin with refs/");
	}
	if (job->op == GIT_FETCH && !has_ref && or_empty(job->commit)[0] == '\0') {
		return refuse(err, "ref", "", "must be given when commit is not");
	}
	return SL_OK;
}

sl_code job_check(const struct git_job *job, struct sl_err *err)
{
	if ((unsigned)job->op >= SL_COUNT(ops)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "git job: no operation %d",
				  (int)job->op);
	}
	const struct git_limits *limits = &job->limits;
	if (limits->depth == 0 || limits->depth > JOB_DEPTH_MAX || limits->files == 0 ||
	    limits->files > JOB_FILES_MAX || limits->path_bytes == 0 ||
	    limits->path_bytes >= JOB_PATH_BYTES_MAX || limits->name_bytes == 0) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "git job: limits must be: depth 1 to %d, files 1 to %d, "
				  "path_bytes 1 to %d, name_bytes not 0",
				  JOB_DEPTH_MAX, JOB_FILES_MAX, JOB_PATH_BYTES_MAX - 1);
	}
	sl_code code = check_texts(job, err);
	if (code == SL_OK) {
		code = check_fetch(job, err);
	}
	if (code == SL_OK && job_uses_network(job->op)) {
		code = git_url_check(or_empty(job->url), job->allow_local, err);
	}
	return code;
}
