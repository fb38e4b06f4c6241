/* vouch: what is signed, byte for byte: for instances, and of the audit record.
 *
 * Whoever signs and whoever checks take the bytes from here; the signature is
 * sl_sign() over them with the purpose of their kind. Pure. */
#ifndef SL_BASE_VOUCH_H
#define SL_BASE_VOUCH_H

#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/crypto/sign.h"

#define VOUCH_MANIFEST "sluice manifest v1" /* over the body of a SignedManifest */
#define VOUCH_TREE "sluice manifest tree v1"
#define VOUCH_KEY "sluice manifest key v1"
#define VOUCH_REFRESH "sluice refresh v1"
#define VOUCH_RELEASE "sluice release v1"
#define VOUCH_AUDIT_HEAD "sluice audit head v1"
#define VOUCH_CONFIG "sluice config v1"

enum {
	VOUCH_TREE_BYTES = 36,
	VOUCH_KEY_BYTES = 36,
	VOUCH_REFRESH_BYTES = 52,
	VOUCH_RELEASE_MAX = 160,
	VOUCH_AUDIT_HEAD_BYTES = 52,
	VOUCH_CONFIG_MAX = 160,
};

/* "These are manifests": size and root of a Merkle tree (base/merkle) over them. */
void vouch_tree(uint32_t size, const uint8_t root[static SL_HASH_BYTES],
		uint8_t out[static VOUCH_TREE_BYTES]);

/* "This is the manifest key of epoch n." */
void vouch_key(uint32_t epoch, const uint8_t public_key[static SL_SIGN_PUBLIC_BYTES],
	       uint8_t out[static VOUCH_KEY_BYTES]);

/* "The manifest with this digest still holds." */
struct vouch_refresh {
	uint32_t epoch;
	uint64_t sequence, expires_s;
	const uint8_t *digest; /* SL_HASH_BYTES */
};
void vouch_refresh(const struct vouch_refresh *refresh, uint8_t out[static VOUCH_REFRESH_BYTES]);

/* "This content may be this version." Returns its size; 0: an id is too long to be one. */
size_t vouch_release(const char *app_id, const char *version_id,
		     const uint8_t digest[static SL_HASH_BYTES],
		     uint8_t out[static VOUCH_RELEASE_MAX]);

/* "At this time the audit sequence ended with this record." */
struct vouch_audit_head {
	uint32_t epoch;
	uint64_t at_ms, sequence;
	const uint8_t *hash; /* SL_HASH_BYTES */
};
void vouch_audit_head(const struct vouch_audit_head *head,
		      uint8_t out[static VOUCH_AUDIT_HEAD_BYTES]);

/* "This box holds the values of the app's config with this stamp on this instance." Returns its
 * size; 0: an id is too long to be one. */
struct vouch_config {
	const char *instance_id, *app_id;
	const uint8_t *stamp; /* SL_HASH_BYTES */
	struct sl_bytes box;
};
size_t vouch_config(const struct vouch_config *config, uint8_t out[static VOUCH_CONFIG_MAX]);

#endif
