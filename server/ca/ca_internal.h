/* ca_internal: what the files of server/ca share; nobody else may include it. */
#ifndef SL_SERVER_CA_INTERNAL_H
#define SL_SERVER_CA_INTERNAL_H

#include "base/crypto/secret.h"
#include "server/ca/ca.h"
#include "server/ca/folder.h"

#define CA_TOKEN_KEY "token.key" /* 32 bytes as they are */
#define CA_DAY_MS (24ULL * 3600 * 1000)
enum { CA_LIFE_DAYS = 3650, CA_SERVER_LIFE_DAYS = 90, CA_SKEW_MS = 5 * 60 * 1000 };

enum ca_file { CA_PEM, CA_KEY, SERVER_PEM, SERVER_KEY, DOOR_PEM, DOOR_KEY, CA_FILES };
extern const char *const ca_file_names[CA_FILES];

/* The files of one moment, which fit together. */
struct ca_set {
	char *texts[CA_FILES];       /* secret texts, owned */
	uint64_t due_ms[CA_FILES];   /* of SERVER_PEM and DOOR_PEM; UINT64_MAX: another CA's */
	uint64_t early_ms[CA_FILES]; /* before this, it was made while the clock was ahead */
};

/* Reads and checks. Dates are not looked at. */
SL_MUST_USE sl_code ca_set_read(int folder, struct ca_set **ret_set, struct sl_err *err);
void ca_set_free(struct ca_set *set); /* NULL is fine */
SL_DEFINE_AUTO(struct ca_set *, ca_set_free);

/* The certificate at `pem` (SERVER_PEM, DOOR_PEM), issued anew for the same key and names.
 * The caller frees *ret_pem. */
SL_MUST_USE sl_code ca_set_renew(const struct ca_set *set, enum ca_file pem, uint64_t now_ms,
				 char **ret_pem, struct sl_err *err);
/* Is it one of this CA, in the last third of its life or beyond? */
bool ca_set_is_due(const struct ca_set *set, enum ca_file pem, uint64_t now_ms);

struct ca_hosts {
	const char *const *items;
	size_t count;
};
/* A server's certificate of 90 days, or up to the CA's end. The caller frees it. */
SL_MUST_USE sl_code ca_make_server(const char *ca_pem, const struct tls_key *ca_key,
				   const struct tls_key *key, const struct ca_hosts *hosts,
				   uint64_t now_ms, char **ret_pem, struct sl_err *err);

#endif
