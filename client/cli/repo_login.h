/* repo_login: credentials of repositories, from files, as `repo add` and `repo set` take them. */
#ifndef SL_CLIENT_CLI_REPO_LOGIN_H
#define SL_CLIENT_CLI_REPO_LOGIN_H

#include "client/cli/cli.h"

struct login_flags {
	const char *push_key, *push_token, *push_user, *pull_key, *pull_token, *pull_user;
	const char *known_hosts, *ca;
};

/* Rows for a table whose config has a struct login_flags at `field`. */
#define LOGIN_FLAG(config, field, flag, member, text)                                              \
	{                                                                                          \
		.name = flag, .kind = SL_FLAG_TEXT,                                                \
		.offset = offsetof(struct config, field) + offsetof(struct login_flags, member),   \
		.placeholder = "FILE", .help = text                                                \
	}
#define LOGIN_FLAGS(config, field)                                                                 \
	LOGIN_FLAG(config, field, "push-key", push_key,                                            \
		   "An ssh key to push with: Ed25519 or ECDSA, 0600, without a pass phrase."),     \
	    LOGIN_FLAG(config, field, "push-token-file", push_token,                               \
		       "Holds an access token, or a password, to push with (https), 0600."),       \
	    {.name = "push-user",                                                                  \
	     .kind = SL_FLAG_TEXT,                                                                 \
	     .offset = offsetof(struct config, field) + offsetof(struct login_flags, push_user),   \
	     .max = 100,                                                                           \
	     .help = "The user beside that token, where the host wants another than it does "      \
		     "usually (x-access-token, oauth2, x-token-auth)."},                           \
	    LOGIN_FLAG(config, field, "pull-key", pull_key,                                        \
		       "An ssh key that may only read: what agents get."),                         \
	    LOGIN_FLAG(config, field, "pull-token-file", pull_token,                               \
		       "Holds a token that may only read: what agents get."),                      \
	    {.name = "pull-user",                                                                  \
	     .kind = SL_FLAG_TEXT,                                                                 \
	     .offset = offsetof(struct config, field) + offsetof(struct login_flags, pull_user),   \
	     .max = 100,                                                                           \
	     .help = "The user beside that token."},                                               \
	    LOGIN_FLAG(config, field, "known-hosts", known_hosts,                                  \
		       "The ssh host keys that are accepted, as `ssh-keyscan HOST` prints them."), \
	    LOGIN_FLAG(config, field, "ca", ca,                                                    \
		       "The authorities that are believed about the host (PEM), instead of the "   \
		       "machine's.")

/* What the files hold. The texts are secret memory, and end with login_files_fini(). */
struct login_files {
	Sluice__V1__RepositoryCredentials push_message, pull_message;
	Sluice__V1__RepositoryCredentials *push, *pull; /* NULL: not given */
	char *texts[6];                                 /* owned */
	const char *known_hosts, *ca;                   /* "": not given */
};
/* False: it has complained. */
bool login_files_read(const struct login_flags *flags, struct login_files *files);
void login_files_fini(struct login_files *files);

#endif
