/* identity: whom a client certificate is for, as its only name says it.
 *
 *   spiffe://sluice/agent/<instance id>/<identity id>
 *   spiffe://sluice/principal/<principal id>/<identity id>
 *
 * One identity per enrolment or login. Pure; any thread. */
#ifndef SL_SERVER_CA_IDENTITY_H
#define SL_SERVER_CA_IDENTITY_H

#include <stdbool.h>

#include "base/id/id.h"
#include "base/tls/tls.h"

enum ca_kind { CA_AGENT, CA_PRINCIPAL };

struct ca_identity {
	enum ca_kind kind;
	char subject[SL_ID_SIZE];  /* `ins_…` of an agent, `pri_…` of a person or bot */
	char identity[SL_ID_SIZE]; /* `idn_…` */
};

/* False: not of this form, to the letter; *ret_identity is then untouched. */
bool ca_identity_parse(const char *uri, struct ca_identity *ret_identity);

/* The name. The ids must be well-formed. Returns `uri`. */
char *ca_identity_uri(char uri[static TLS_URI_MAX + 1], const struct ca_identity *identity);

#endif
