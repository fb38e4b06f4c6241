/* certs: certificates of every shape, also those that base/tls never makes.
 *
 * All texts are PEM, of malloc's, the caller's. Trouble aborts. */
#ifndef SL_TESTS_CERTS_H
#define SL_TESTS_CERTS_H

#include <stdbool.h>
#include <stdint.h>

struct certs_shape {
	const char *common_name; /* NULL: "test" */
	const char *uris[2];     /* in order; NULL: none */
	const char *dns, *ip;    /* NULL: none */
	const char *eku;         /* "clientAuth", "serverAuth"; NULL: no such extension */
	int64_t from_s, until_s; /* seconds from now; both 0: a minute ago, an hour from now */
	bool is_ca;
};

char *certs_key(void);                 /* P-256 */
char *certs_key_of(const char *group); /* "P-384", or "RSA" for 2048 bits of that, or "explicit":
					* P-256 with its curve spelt out */
/* Signed with issuer_key, in the name of issuer_pem; NULL: of itself. */
char *certs_issue(const struct certs_shape *shape, const char *key_pem, const char *issuer_pem,
		  const char *issuer_key);
/* A request with the key of key_pem, signed with signer_pem. */
char *certs_request(const char *key_pem, const char *signer_pem);

#endif
