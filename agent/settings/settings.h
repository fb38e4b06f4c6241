/* settings: the constants, secrets and data sources of this instance's environment, as its server
 * told them for one app, and what is made of them.
 *
 *   sealed box --open--> settings -+
 *   overrides of this host --------+--> what is missing, config.json, env, rendered files
 *   contract of a version ---------+
 *
 * A version sees what its own contract requires, and nothing else. Values lie in secret memory and
 * in no error. Pure, but for overrides_load(). Threads: one. */
#ifndef SL_AGENT_SETTINGS_H
#define SL_AGENT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/contract/contract.h"
#include "base/crypto/box.h"
#include "base/crypto/crypto.h"
#include "base/err/err.h"
#include "base/mem/own.h"

enum {
	SETTINGS_VALUE_MAX = 10000, /* bytes of a constant or a secret */
	SETTINGS_MISSING_MAX = 20,  /* that are named */
	SETTINGS_TEXT_SIZE = 128,
};

/* --- what the server told ------------------------------------------------------------------ */

/* A document is a run of fields, each with its NUL:
 *
 *   c NAME VALUE                   a constant
 *   s NAME VALUE                   a secret
 *   o SOURCE KIND OPTION VALUE     an option of a data source
 *   . APP INSTANCE STAMP           the end: whose it is, and which (hex)
 *
 * Nothing is there twice, and everything has the form of its rule. */
struct settings;

struct settings_owner {
	const char *app_id, *instance_id;
	const uint8_t *stamp; /* SL_HASH_BYTES */
};

/* Opens what is sealed to this key. SL_FAILED_PRECONDITION: it is not sealed to this key, or not
 * for this owner; SL_INVALID_ARGUMENT: it breaks a rule, which the message names. */
SL_MUST_USE sl_code settings_open(const uint8_t box_secret[static SL_BOX_SECRET_BYTES],
				  struct sl_bytes box, const struct settings_owner *owner,
				  struct settings **ret_settings, struct sl_err *err);
/* The same of an opened document in secret memory, which it takes in any case. */
SL_MUST_USE sl_code settings_parse(char *text, size_t size, const struct settings_owner *owner,
				   struct settings **ret_settings, struct sl_err *err);
void settings_free(struct settings *settings); /* wipes it; NULL is fine */
SL_DEFINE_AUTO(struct settings *, settings_free);

struct settings_item {
	bool source, secret;
	const char *name;
	const char *kind, *option; /* of a source; else "" */
	const char *value;
};
/* In bytewise order: constants and secrets, then the options of data sources. */
const struct settings_item *settings_items(const struct settings *settings, size_t *ret_count);

/* --- what this host says instead --- */

/* SLUICE_CONST__NAME=VALUE and SLUICE_SECRET__NAME=VALUE: from `environ`, from where they are
 * taken out and wiped, so that no child and no list of processes has them, and from the lines of a
 * file that only this user may read (empty lines and those that begin with # are none). What the
 * environment says comes first. */
struct overrides;

/* `file` "": none. SL_INVALID_ARGUMENT, SL_NOT_FOUND, SL_FAILED_PRECONDITION name variable or line,
 * and rule. */
SL_MUST_USE sl_code overrides_load(const char *file, struct overrides **ret_overrides,
				   struct sl_err *err);
void overrides_free(struct overrides *overrides); /* NULL is fine */
SL_DEFINE_AUTO(struct overrides *, overrides_free);
/* NULL: there is none. */
const char *overrides_value(const struct overrides *overrides, bool secret, const char *name);

/* --- what a version sees --- */

struct settings_view {
	const struct contract *contract;
	const struct settings *settings;   /* NULL: none were told */
	const struct overrides *overrides; /* NULL: none */
};

/* Up to SETTINGS_MISSING_MAX texts, as `constant API_URL`, `data source main (postgres)`. */
struct settings_texts {
	char items[SETTINGS_MISSING_MAX][SETTINGS_TEXT_SIZE];
	size_t count; /* also of those that are not named */
};
/* What the contract requires and is not there. */
void settings_missing(const struct settings_view *view, struct settings_texts *ret_texts);
/* What of the contract this host overrides. */
void settings_overridden(const struct settings_view *view, struct settings_texts *ret_texts);

/* Files of a version: secret memory, sl_secret_free() it. SL_FAILED_PRECONDITION or
 * SL_INVALID_ARGUMENT: a reference that does not hold, or too much; the message names file, line
 * and rule. */
SL_MUST_USE sl_code settings_json(const struct settings_view *view, char **ret_text,
				  size_t *ret_size, struct sl_err *err);
SL_MUST_USE sl_code settings_env(const struct settings_view *view, char **ret_text,
				 size_t *ret_size, struct sl_err *err);
/* The file of the bundle at `path`, with its values. */
SL_MUST_USE sl_code settings_render(const struct settings_view *view, const char *path,
				    struct sl_bytes text, char **ret_text, size_t *ret_size,
				    struct sl_err *err);

#endif
