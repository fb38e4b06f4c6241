/* settings: values of the environments: constants and secrets: in, sealed, opened.
 *
 * The records of what is set (records/config_names.h) are plain; values lie in the
 * vault, each bound to its name, kind and environment. Called inside decisions, or
 * on views. No event, reply or log gets a value from here: what is opened is secret
 * memory, the caller's. Threads: any. */
#ifndef SL_SERVER_SETTINGS_H
#define SL_SERVER_SETTINGS_H

#include "server/records/config_names.h"
#include "server/vault/vault.h"

enum { SETTING_VALUE_MAX = 10000 };
/* What is shown instead of a secret, and leaves it as it is when it comes back. */
#define SETTING_MASK "********"

struct setting_new {
	const char *name;
	Sluice__V1__ConfigKind kind; /* UNSPECIFIED: what it is already */
	uint32_t environment;
	const char *value; /* borrowed */
};

/* Name and value are checked before. SL_FAILED_PRECONDITION / CONFIG_KIND_FIXED or VAULT_LOCKED;
 * SL_INVALID_ARGUMENT: a new name without a kind, or with the mask as its value; SL_ABORTED /
 * STALE_REVISION. Nothing changes when the value is there already, as far as the caller may know;
 * see SetConfigValue. */
SL_MUST_USE sl_code settings_set(struct vault *vault, struct decision *d,
				 const struct setting_new *wanted,
				 Sluice__Store__V1__ConfigNameRecord **ret_record,
				 struct sl_err *err);
/* Needs no key. What is unset stays as it is. */
SL_MUST_USE sl_code settings_unset(struct decision *d, Sluice__Store__V1__ConfigNameRecord *record,
				   uint32_t environment, struct sl_err *err);
SL_MUST_USE sl_code settings_delete(struct decision *d,
				    const Sluice__Store__V1__ConfigNameRecord *record,
				    struct sl_err *err);

/* The value there, with a NUL; sl_secret_free() it. SL_NOT_FOUND: it is unset. SL_DATA_LOSS,
 * SL_FAILED_PRECONDITION / VAULT_LOCKED: it does not open. */
SL_MUST_USE sl_code settings_open(struct vault *vault, const struct store_view *view,
				  uint32_t workspace,
				  const Sluice__Store__V1__ConfigNameRecord *record,
				  uint32_t environment, char **ret_value, struct sl_err *err);
/* The same of a secret that is shown to somebody, which its record says from then on.
 * SL_NOT_FOUND / CONFIG_NOT_FOUND: it is unset. */
SL_MUST_USE sl_code settings_reveal(struct vault *vault, struct decision *d,
				    Sluice__Store__V1__ConfigNameRecord *record,
				    uint32_t environment, char **ret_value, struct sl_err *err);

/* Of all workspaces, after vault_reset(): names stay, values are unset. */
SL_MUST_USE sl_code settings_forget(struct decision *d, struct sl_err *err);

#endif
