/* Names go into a certificate by hand: X509V3_EXT_conf_nid() parses a text, in which a
 * comma would begin another name. */
#include <arpa/inet.h>
#include <string.h>

#include "base/tls/tls_internal.h"

#define URI_SCHEME "spiffe://"
enum { HOST_MAX = 253, LABEL_MAX = 63 };

#define LETTERS_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool tls_uri_is_valid(const char *uri)
{
	size_t length = strlen(uri), scheme = strlen(URI_SCHEME);
	return length > scheme && length <= TLS_URI_MAX && strncmp(uri, URI_SCHEME, scheme) == 0 &&
	       strspn(uri + scheme, LETTERS_DIGITS "/._-") == length - scheme;
}

/* The bytes of an address; 0: it is none. */
static size_t address_of(const char *host, uint8_t out[static sizeof(struct in6_addr)])
{
	if (inet_pton(AF_INET, host, out) == 1) {
		return sizeof(struct in_addr);
	}
	return inet_pton(AF_INET6, host, out) == 1 ? sizeof(struct in6_addr) : 0;
}

static bool label_is_valid(const char *label, size_t length)
{
	return length > 0 && length <= LABEL_MAX && label[0] != '-' && label[length - 1] != '-' &&
	       strspn(label, LETTERS_DIGITS "-_") >= length;
}

static bool dns_is_valid(const char *name)
{
	size_t length = strlen(name);
	if (length == 0 || length > HOST_MAX) {
		return false;
	}
	const char *label = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
	for (;;) {
		size_t size = strcspn(label, ".");
		if (!label_is_valid(label, size)) {
			return false;
		}
		if (label[size] == '\0') {
			return true;
		}
		label += size + 1;
	}
}

bool tls_host_is_valid(const char *host)
{
	uint8_t address[sizeof(struct in6_addr)];
	/* Digits and dots that are no address are a mistyped one, never a host. */
	return address_of(host, address) > 0 ||
	       (dns_is_valid(host) && strspn(host, "0123456789.") != strlen(host));
}

static bool add_name(GENERAL_NAMES *names, int type, const void *data, size_t size)
{
	ASN1_STRING *text = type == GEN_IPADD ? (ASN1_STRING *)ASN1_OCTET_STRING_new()
					      : (ASN1_STRING *)ASN1_IA5STRING_new();
	SL_AUTO(GENERAL_NAME_free_auto) GENERAL_NAME *name = GENERAL_NAME_new();
	if (name == NULL || text == NULL || ASN1_STRING_set(text, data, (int)size) != 1) {
		ASN1_STRING_free(text);
		return false;
	}
	GENERAL_NAME_set0_value(name, type, text);
	if (sk_GENERAL_NAME_push(names, name) == 0) {
		return false;
	}
	(void)SL_TAKE(name);
	return true;
}

static bool add_host(GENERAL_NAMES *names, const char *host)
{
	uint8_t address[sizeof(struct in6_addr)];
	size_t size = address_of(host, address);
	return size > 0 ? add_name(names, GEN_IPADD, address, size)
			: add_name(names, GEN_DNS, host, strlen(host));
}

static sl_code check_names(const struct tls_spec *spec, struct sl_err *err)
{
	if (spec->uri != NULL && !tls_uri_is_valid(spec->uri)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "a URI name must be " URI_SCHEME " and then [A-Za-z0-9/._-], "
				  "at most %d bytes, is '%s'",
				  TLS_URI_MAX, spec->uri);
	}
	for (size_t i = 0; i < spec->host_count; i++) {
		if (!tls_host_is_valid(spec->hosts[i])) {
			return sl_err_set(
			    err, SL_INVALID_ARGUMENT,
			    "a host name must be a DNS name or an IP address, is '%s'",
			    spec->hosts[i]);
		}
	}
	return SL_OK;
}

sl_code tls_add_names(X509 *cert, const struct tls_spec *spec, struct sl_err *err)
{
	sl_code code = check_names(spec, err);
	if (code != SL_OK || (spec->uri == NULL && spec->host_count == 0)) {
		return code;
	}
	SL_AUTO(GENERAL_NAMES_free_auto) GENERAL_NAMES *names = GENERAL_NAMES_new();
	bool added = names != NULL;
	if (added && spec->uri != NULL) {
		added = add_name(names, GEN_URI, spec->uri, strlen(spec->uri));
	}
	for (size_t i = 0; added && i < spec->host_count; i++) {
		added = add_host(names, spec->hosts[i]);
	}
	if (!added ||
	    X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1) {
		return tls_failed(err, SL_INTERNAL, "put names into a certificate");
	}
	return SL_OK;
}

static const char *address_text(const uint8_t *address, int size, struct sl_arena *arena)
{
	char text[INET6_ADDRSTRLEN];
	int family = size == sizeof(struct in_addr) ? AF_INET : AF_INET6;
	if ((family == AF_INET6 && size != sizeof(struct in6_addr)) ||
	    inet_ntop(family, address, text, sizeof(text)) == NULL) {
		return NULL;
	}
	return sl_arena_strdup(arena, text);
}

/* NULL: not a host, or none that we would put in. */
static const char *host_text(const GENERAL_NAME *name, struct sl_arena *arena)
{
	if (name->type != GEN_DNS && name->type != GEN_IPADD) {
		return NULL;
	}
	const ASN1_STRING *value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
	int size = ASN1_STRING_length(value);
	const uint8_t *bytes = ASN1_STRING_get0_data(value);
	if (name->type == GEN_IPADD) {
		return address_text(bytes, size, arena);
	}
	char *text = size > 0 ? sl_arena_printf(arena, "%.*s", size, (const char *)bytes) : NULL;
	if (text == NULL) {
		return NULL;
	}
	return strlen(text) == (size_t)size && tls_host_is_valid(text) ? text : NULL;
}

bool tls_x509_hosts(X509 *x509, struct sl_arena *arena, const char *const **ret_hosts,
		    size_t *ret_count)
{
	SL_AUTO(GENERAL_NAMES_free_auto)
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
	const char **hosts = SL_ARENA_ARRAY(arena, const char *, (size_t)count + 1);
	size_t found = 0;
	for (int i = 0; i < count && hosts != NULL; i++) {
		hosts[found] = host_text(sk_GENERAL_NAME_value(names, i), arena);
		found += hosts[found] != NULL;
	}
	*ret_hosts = hosts;
	*ret_count = found;
	return !sl_arena_failed(arena);
}

sl_code tls_cert_hosts(struct sl_bytes pem, struct sl_arena *arena, const char *const **ret_hosts,
		       size_t *ret_count, struct sl_err *err)
{
	SL_AUTO(X509_free_auto) X509 *x509 = NULL;
	sl_code code = tls_x509_read(pem, &x509, err);
	if (code != SL_OK) {
		return code;
	}
	return tls_x509_hosts(x509, arena, ret_hosts, ret_count) ? SL_OK : sl_err_no_memory(err);
}
