/* context_store: who this user is on which server, as `sluice login` leaves it.
 *
 *   DIR                    $XDG_CONFIG_HOME/sluice, else ~/.config/sluice
 *   DIR/contexts/NAME/     0700, files 0600; ca.pem, cert.pem and key.pem are what any program
 *                          speaks TLS with; context.json has the rest
 *   DIR/current            a link to the one in use
 *
 * A renewal replaces cert.pem, whole and of the same key: whoever reads the files meanwhile has a
 * pair that fits. What a renewal is asked with is written down first, as an agent does it
 * (proto/sluice/v1/identity.proto). Programs that change a context hold its lock.
 *
 * Threads: one. */
#ifndef SL_CLIENT_CLI_CONTEXT_STORE_H
#define SL_CLIENT_CLI_CONTEXT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"
#include "base/mem/own.h"
#include "base/tls/files.h"

enum { CONTEXT_NAME_MAX = 50, CONTEXT_NONCE_BYTES = 16 };
#define CONTEXT_NOT_FOUND "no context '%s': run: sluice context ls"

struct login_context {
	char *name, *folder;                       /* folder: its path */
	char *server, *door;                       /* host:port */
	char *workspace, *principal, *identity_id; /* as the server names them */
	struct tls_files tls;                      /* all three */
	uint64_t renewals;                         /* that were answered */
	bool asked;                                /* one more was asked for with: */
	uint8_t nonce[CONTEXT_NONCE_BYTES];
	uint64_t taken_ms;     /* when the certificate came, by this machine's clock */
	uint64_t not_after_ms; /* when it ends */
};

/* An empty one of this name. SL_INVALID_ARGUMENT: no name for a context (lower-case letters,
 * digits, '-', '_' and '.', not first), or there is no home to keep it in. */
SL_MUST_USE sl_code login_context_new(const char *name, struct login_context **ret_login,
				      struct sl_err *err);
void login_context_free(struct login_context *login); /* NULL is fine */
SL_DEFINE_AUTO(struct login_context *, login_context_free);

/* Half of its life is over; all of it is. */
bool login_context_is_due(const struct login_context *login, uint64_t now_ms);
bool login_context_is_over(const struct login_context *login, uint64_t now_ms);
uint64_t login_context_due_ms(const struct login_context *login);

/* Key, certificate and CA fit together; reads when it ends. SL_FAILED_PRECONDITION. */
SL_MUST_USE sl_code login_context_check(struct login_context *login, struct sl_err *err);

/* SL_NOT_FOUND: there is none of this name. SL_FAILED_PRECONDITION and others name the file that
 * breaks its rule. */
SL_MUST_USE sl_code context_load(const char *name, struct login_context **ret_login,
				 struct sl_err *err);
/* The same for who holds the lock. */
SL_MUST_USE sl_code context_load_locked(const char *name, struct login_context **ret_login,
					struct sl_err *err);
/* Writes all of it; its folder is made. */
SL_MUST_USE sl_code context_save(const struct login_context *login, struct sl_err *err);
/* Writes what a renewal changes: certificate and CA, and what is noted of it. */
SL_MUST_USE sl_code context_save_renewal(const struct login_context *login, struct sl_err *err);
/* Writes what is noted only. */
SL_MUST_USE sl_code context_save_notes(const struct login_context *login, struct sl_err *err);

/* Waits for whoever holds it. Closing the descriptor gives it back. */
SL_MUST_USE sl_code context_lock(const char *name, int *ret_fd, struct sl_err *err);

/* The name of the one in use, the caller's; NULL: none. */
SL_MUST_USE sl_code context_current(char **ret_name, struct sl_err *err);
SL_MUST_USE sl_code context_use(const char *name, struct sl_err *err);
/* With its key; if it was in use, none is. SL_NOT_FOUND. */
SL_MUST_USE sl_code context_remove(const char *name, struct sl_err *err);

/* Names in order, each and the list the caller's. */
struct context_names {
	char **items;
	size_t count;
};
SL_MUST_USE sl_code context_names(struct context_names *ret_names, struct sl_err *err);
void context_names_fini(struct context_names *names);

/* DIR/<file>, the caller's. NULL: there is no home, or no memory. */
char *context_path(const char *file);

#endif
