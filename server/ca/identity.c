#include "server/ca/identity.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"

static const struct {
	const char *start;
	char subject[4];
} forms[] = {
    [CA_AGENT] = {"spiffe://sluice/agent/", "ins"},
    [CA_PRINCIPAL] = {"spiffe://sluice/principal/", "pri"},
};

bool ca_identity_parse(const char *uri, struct ca_identity *ret_identity)
{
	for (unsigned kind = 0; kind < SL_COUNT(forms); kind++) {
		size_t length = strlen(forms[kind].start);
		if (strncmp(uri, forms[kind].start, length) != 0) {
			continue;
		}
		struct ca_identity identity = {.kind = (enum ca_kind)kind};
		const char *subject = uri + length;
		const char *slash = strchr(subject, '/');
		if (slash == NULL || slash - subject != SL_ID_SIZE - 1) {
			return false;
		}
		memcpy(identity.subject, subject, SL_ID_SIZE - 1);
		if (!sl_id_is(identity.subject, forms[kind].subject) ||
		    !sl_id_is(slash + 1, "idn")) {
			return false;
		}
		sl_text_copy(identity.identity, sizeof(identity.identity), slash + 1);
		*ret_identity = identity;
		return true;
	}
	return false;
}

char *ca_identity_uri(char uri[static TLS_URI_MAX + 1], const struct ca_identity *identity)
{
	(void)snprintf(uri, TLS_URI_MAX + 1, "%s%s/%s", forms[identity->kind].start,
		       identity->subject, identity->identity);
	return uri;
}
